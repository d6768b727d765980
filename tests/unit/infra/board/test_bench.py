"""The measurement of a board: what is read of its answer, and the lines of `ais_bench`."""

import re
from typing import Any

import pytest

from infra.board.bench import as_ais_bench, device_words, read_bench

TIMES = {"p50": 2.0, "p90": 3.0, "p99": 4.0, "mean": 2.5, "least": 1.0, "most": 5.0}


def said(**changes: Any) -> dict[str, Any]:
    device = {"device": 0, "images_a_second": 300.0, **dict.fromkeys(("whole", "upload", "compute", "download"), TIMES)}
    answer = {"release": "a", "soc_version": "Ascend310P3", "emulated": False, "runs": 10, "batch": 4}
    return {**answer, "images_a_second": 600.0, "devices": [device, {**device, "device": 1}], **changes}


def test_the_lines_that_scripts_of_ais_bench_search_for() -> None:
    lines = list(as_ais_bench(read_bench(said())))
    (first, *_) = [line for line in lines if "throughput 1000" in line]
    match = re.search(r"throughput 1000\*batchsize\.mean\((\d+)\)/NPU_compute_time\.mean\((.+)\): (.+)$", first)
    assert match is not None
    assert [float(group) for group in match.groups()] == [4, 2.5, 1600.0]
    figures = "min = 1.0, max = 5.0, mean = 2.5, median = 2.0, percentile(99%) = 4.0"
    assert f"[INFO] NPU_compute_time (ms): {figures}" in lines
    assert lines[-1] == "[INFO] summary throughput:3200.0"


def test_figures_of_a_stand_in_are_marked_in_this_form_too() -> None:
    assert next(as_ais_bench(read_bench(said(emulated=True)))).startswith("[WARNING] measured on a stand-in")


@pytest.mark.parametrize(
    "changes",
    [{"devices": []}, {"devices": [{"device": 0}]}, {"images_a_second": float("nan")}, {"release": "../x"}],
)
def test_answers_that_cannot_be_used(changes: Any) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_bench(said(**changes))


def test_a_former_release_is_not_asked_for_devices_that_it_cannot_choose() -> None:
    assert device_words("0") == []
    assert device_words("all") == ["--device", "all"]
