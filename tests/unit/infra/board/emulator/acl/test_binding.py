"""The stand-in's names, arguments and return shapes are the binding's (docs/reference/pyacl.md §4.4)."""

from typing import Any

import numpy as np
import pytest

from infra.board.emulator.acl.acl import _binding, _binding_media

NAMES = {
    "": _binding.ACL, "rt": _binding.RT, "mdl": _binding.MDL, "op": _binding.OP, "prof": _binding.PROF,
    "util": _binding.UTIL, "blas": _binding.BLAS, "fv": _binding.FV, "media": _binding_media.MEDIA,
    "himpi": _binding_media.HIMPI,
}  # fmt: skip


@pytest.mark.parametrize("module", NAMES)
def test_a_program_sees_exactly_the_names_of_the_binding(acl: Any, module: str) -> None:
    place = getattr(acl, module) if module else acl
    names = {entry.partition(":")[0] for entry in NAMES[module].split()}
    seen = {name for name in dir(place) if not name.startswith("_")}
    assert seen - {"EMULATED", "fill", *NAMES} == names - set(NAMES)
    assert all(callable(getattr(place, name)) for name in names)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("init", [None]),
        ("rt.set_device", ["0"]),
        ("rt.set_device", [0.0]),
        ("rt.set_device", []),
        ("rt.set_device", [2**31]),
        ("rt.malloc", [np.int64(64), 2]),
        ("rt.malloc", [None, 2]),
        ("rt.synchronize_stream", [None]),
        ("rt.memcpy", [1, 2, 3, 4]),
        ("mdl.load_from_file", [b"model.om"]),
        ("mdl.load_from_file", ["model.om", 1]),
        ("mdl.get_input_index_by_name", [1, None]),
        ("media.dvpp_set_pic_desc_width", [1, "32"]),
    ],
)
def test_arguments_that_the_binding_refuses(fresh_acl: Any, call: str, arguments: list[Any]) -> None:
    place, _, name = call.rpartition(".")
    function = getattr(getattr(fresh_acl, place) if place else fresh_acl, name)
    with pytest.raises(TypeError, match=f"acl.{call} args parse failed"):
        function(*arguments)


def test_keyword_arguments_are_refused(fresh_acl: Any) -> None:
    with pytest.raises(TypeError, match="no keyword arguments"):
        fresh_acl.rt.set_device(device_id=0)


def test_arguments_that_the_binding_accepts(fresh_acl: Any) -> None:
    acl = fresh_acl
    assert acl.init("") == 0
    assert acl.rt.set_device(np.int32(0)) == 0  # `i` takes whatever has an index
    assert acl.rt.synchronize_device(0) == 0  # a function without arguments ignores them
    assert acl.rt.create_stream("more", 1)[1] == 0
    assert acl.rt.malloc(True, False)[1] == 0


def test_what_is_not_emulated_says_so_in_the_binding_s_shape(acl: Any) -> None:
    assert acl.rt.get_device_utilization_rate(0) == ({}, 200001)
    assert acl.rt.reserve_mem_address(1, 0, 0, 0) == (0, 200001)
    assert acl.rt.stream_abort(1) == 200001
    assert acl.mdl.bundle_load_from_file("x") == (0, 200001)
    assert acl.media.vdec_create_channel(0) == 200001
    assert acl.media.vdec_get_channel_desc_entype(0) == 0
    assert acl.himpi.sys_init() == 200001
    assert acl.get_recent_err_msg() == "acl.himpi.sys_init is not supported by this stand-in"
