"""The answers of the user's model and of the prepared one: compared, and a file that cannot be loaded named."""

import onnx
import pytest
from onnx import TensorProto, helper

from infra.errors import Corrupt, UserError
from tasks.release.foreign import answers
from tests.unit.tasks.release.foreign.models import PICTURES, adapted


@pytest.mark.parametrize("name", ["torch_resnet", "keras", "class_number"])
def test_a_changed_answer_is_noticed(name: str) -> None:
    model, reading, made = adapted(name)
    (weight, *_) = (item for item in made.graph.initializer if len(item.dims) == 2)
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(-values, weight.name))
    tensor = PICTURES / 255
    own = answers.own_answers(answers.session(model.SerializeToString(), name), reading, tensor)
    found = answers.logits(answers.session(made.SerializeToString(), name), tensor, 1)
    with pytest.raises(Corrupt, match=f"{name} "):
        answers.check_same(reading, own, found, name)


def test_a_file_that_onnx_runtime_cannot_load_is_named() -> None:
    node = helper.make_node("Nothing", ["x"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(UserError, match=r"cannot load m\.onnx"):
        answers.session(model.SerializeToString(), "m.onnx")
