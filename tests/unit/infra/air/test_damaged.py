"""Bytes that are no AIR."""

from typing import Any

import pytest

from infra.air import reader
from infra.air.schema import ModelDef
from infra.errors import Corrupt


def field(number: Any, content: Any) -> Any:
    return bytes([number << 3 | 2, len(content)]) + content


def one_operator() -> Any:
    model = ModelDef()
    graph = model.graph.add(name="graph")
    graph.op.add(name="named", type="typed")
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        b"",
        field(7, field(1, b"name")),
        *(one_operator().replace(word, b"\xa0" + word[1:]) for word in (b"graph", b"named", b"typed")),
    ],
)
def test_other_bytes_than_a_graph_are_corrupt(data: Any) -> None:
    with pytest.raises(Corrupt, match="not AIR"):
        reader.operators(data)
    with pytest.raises(Corrupt, match="not AIR"):
        reader.to_onnx(data)
