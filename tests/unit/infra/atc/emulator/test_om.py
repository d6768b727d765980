"""The `.om` format, checked byte for byte against the offsets of docs/reference/atc.md §3.7."""

import struct
from pathlib import Path

import pytest

from infra.atc.emulator.om import OmError, OmModel, OmTensor, pack_om, parse_om, read_om, write_om

MODEL = OmModel(
    name="lenet5",
    soc_version="Ascend310",
    producer="atc-stand-in",
    producer_version="0123abcd",
    emulated=True,
    inputs=(OmTensor("image", 0, (-1, 3, 32, 32), 0, 98304), OmTensor("ascend_mbatch_shape_data", 9, (1,), 2, 8)),
    outputs=(OmTensor("Gemm_1:0:logits", 0, (8, 10), 2, 320),),
    onnx=b"onnx bytes",
    precision_mode="force_fp16",
    aipp={"image": {"input_format": "RGB888_U8", "min_chn_0": 125.307}},
    gears=((1,), (8,)),
    gear_kind="batch",
    options={"log": "info"},
)


def test_header_fields_are_where_the_loader_looks() -> None:
    data = pack_om(MODEL)
    assert data[:4] == b"IMOD"
    assert struct.unpack_from("<I", data, 0)[0] == 0x444F4D49
    assert struct.unpack_from("<II", data, 4) == (256, 0x20000000)
    assert data[12:76] == bytes(64)
    assert struct.unpack_from("<I", data, 76)[0] == len(data) - 256
    assert data[80:84] == bytes([0, 0, 1, 0])  # not encrypted, not checked, standard model, offline
    assert data[84:116] == b"lenet5".ljust(32, b"\0")
    assert data[116:120] == bytes(4)
    assert data[120:152] == b"AtlasFlow stand-in".ljust(32, b"\0")
    assert struct.unpack_from("<II", data, 152) == (0, 1)  # IR version, number of models
    assert data[160:180] == b"0123abcd".ljust(20, b"\0")
    assert data[180:184] == bytes(4)
    assert struct.unpack_from("<Q", data, 184)[0] == len(data) - 256
    assert data[192:256] == bytes(64)


def test_partition_table_has_wide_entries_with_their_padding() -> None:
    data = pack_om(MODEL)
    assert struct.unpack_from("<II", data, 256) == (2, 0)
    first = struct.unpack_from("<iIQQ", data, 264)
    second = struct.unpack_from("<iIQQ", data, 288)
    assert first[:3] == (0, 0, 0)
    assert second == (1, 0, first[3], len(b"onnx bytes"))
    assert data[312 + second[2] :] == b"onnx bytes"


def test_soc_and_tensor_names_are_visible_inside() -> None:
    data = pack_om(MODEL)
    for word in (b"Ascend310", b"image", b"logits", b"stand-in", b"not for hardware"):
        assert word in data


def test_a_written_model_is_read_and_its_bytes_are_stable(tmp_path: Path) -> None:
    write_om(tmp_path / "a.om", MODEL)
    write_om(tmp_path / "b.om", MODEL)
    assert (tmp_path / "a.om").read_bytes() == (tmp_path / "b.om").read_bytes()
    assert read_om(tmp_path / "a.om") == MODEL
    assert MODEL.batch_gears == (1, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.om", "b.om"]


def test_a_name_is_cut_between_characters_and_kept_whole_in_the_definition() -> None:
    model = OmModel("é" * 20, "Ascend310", "p", "v", emulated=True)
    data = pack_om(model)
    assert data[84:116].rstrip(b"\0").decode() == "é" * 15
    assert parse_om(data).name == "é" * 20


def _real(payload: bytes, *, wide: bool) -> bytes:
    header = bytearray(256)
    header[:4] = b"IMOD"
    struct.pack_into("<II", header, 4, 256, 0x20000000)
    struct.pack_into("<I", header, 76, len(payload))
    header[84:90] = b"resnet"
    header[160:163] = b"7.0"
    if wide:
        struct.pack_into("<Q", header, 184, len(payload))
    return bytes(header) + payload


@pytest.mark.parametrize("wide", [True, False])
def test_a_real_file_is_recognised_and_not_interpreted(wide: bool) -> None:
    graph = b"\x0a\x04ge::"
    table = struct.pack("<I4xi4xQQ", 1, 0, 0, len(graph)) if wide else struct.pack("<IiII", 1, 0, 0, len(graph))
    model = parse_om(_real(table + graph, wide=wide))
    assert (model.emulated, model.name, model.producer, model.producer_version) == (False, "resnet", "atc", "7.0")
    assert model.onnx == b""
    assert model.inputs == ()


def test_only_emulated_models_are_written() -> None:
    with pytest.raises(ValueError, match="emulated"):
        pack_om(OmModel("a", "Ascend310", "atc", "7.0", emulated=False))


def _patched(position: int, new: bytes) -> bytes:
    data = bytearray(pack_om(MODEL))
    data[position : position + len(new)] = new
    return bytes(data)


DAMAGED = [
    ("short", b"IMOD", 145006),
    ("magic", _patched(0, b"XMOD"), 145006),
    ("header size", _patched(4, b"\0\0\0\0"), 145006),
    ("cut", pack_om(MODEL)[:-1], 145006),
    ("longer", pack_om(MODEL) + b"\0", 145006),
    ("no partition", _patched(256, b"\0\0\0\0"), 145010),
    ("many partitions", _patched(256, b"\xff\xff\xff\xff"), 145010),
    ("partition beyond the end", _patched(304, b"\xff\xff"), 145006),
    ("no definition", _patched(264, b"\x07"), 545002),
    ("no weights", _patched(288, b"\x07"), 545003),
    ("definition is not JSON", _patched(pack_om(MODEL).index(b"{"), b"["), 545002),
    ("claims not to be emulated", pack_om(MODEL).replace(b'"emulated": true', b'"emulated": null'), 545002),
    ("not UTF-8", _patched(pack_om(MODEL).index(b"force_fp16"), b"\xff"), 545002),
]


@pytest.mark.parametrize(("data", "code"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED])
def test_damage_gives_the_loaders_code(data: bytes, code: int, tmp_path: Path) -> None:
    path = tmp_path / "model.om"
    path.write_bytes(data)
    with pytest.raises(OmError) as caught:
        read_om(path)
    assert caught.value.code == code
    assert "model.om" in caught.value.message


def test_missing_and_empty_files_give_145002(tmp_path: Path) -> None:
    (tmp_path / "empty.om").touch()
    for path in (tmp_path / "none.om", tmp_path / "empty.om", tmp_path):
        with pytest.raises(OmError) as caught:
            read_om(path)
        assert caught.value.code == 145002
