"""The commands: smoke, classify, watch, bench, info. With `--json` the last line of output is one JSON object."""

import argparse
import json
import signal
import sys
from typing import Any, Dict, List

from .bench import bench
from .card import Card
from .classify import classify, describe
from .failure import USER, Failure
from .infer import infer
from .observations import Recorder, path_for
from .release import Release
from .screen import listed
from .smoke import smoke, worst
from .unsure import FOLDER as UNSURE
from .unsure import Bounds, Keeper
from .watch import Watcher, watch
from .watchdog import Watchdog


def main(arguments: List[str]) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        answer = options.run(options)
    except Failure as failure:
        if options.json:
            print(json.dumps({"error": {"message": failure.message, "hint": failure.hint, "code": failure.code}}))
        else:
            sys.stderr.write(failure.message + (f"\n  -> {failure.hint}\n" if failure.hint else "\n"))
        return failure.exit_code
    if options.json:
        print(json.dumps(answer))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="agent", description="Run the release in this folder on the board.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True  # not an argument before Python 3.7
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer with JSON")
    common.add_argument("--device", default="0", help="numbers of devices, such as 0,1, or the word all (0)")
    command = commands.add_parser("smoke", parents=[common], help="compare golden images with their golden outputs")
    command.set_defaults(run=run_smoke)
    command = commands.add_parser("classify", parents=[common], help="classify pictures")
    command.add_argument("--output", help="folder for annotated copies")
    command.add_argument(
        "--caption",
        choices=("below", "inside"),
        default="below",
        help="where the class is written; inside: on the picture, which keeps its size and name (below)",
    )
    command.add_argument("pictures", nargs="+", metavar="PICTURE", help="a picture, or a folder of pictures")
    command.set_defaults(run=run_classify)
    command = commands.add_parser("watch", parents=[common], help="classify the pictures that appear in a folder")
    command.add_argument("--output", help="folder for annotated copies and answers.jsonl")
    command.add_argument("--interval", type=float, default=1.0, help="seconds between two looks at the folder (1)")
    command.add_argument("--looks", type=int, help="number of looks; no end without it")
    bounds = Bounds()
    command.add_argument(
        "--keep", type=int, default=0, metavar="N", help="keep the N pictures of which the model is least sure (0)"
    )
    command.add_argument(
        "--keep-megabytes", type=float, default=bounds.megabytes, help="their bytes at most (%(default)s)"
    )
    command.add_argument("--keep-days", type=float, default=bounds.days, help="how long they are kept (%(default)s)")
    command.add_argument("folder", metavar="FOLDER")
    command.set_defaults(run=run_watch)
    command = commands.add_parser("bench", parents=[common], help="measure latency and throughput")
    command.add_argument("--runs", type=int, default=200, help="executions to time (200)")
    command.add_argument("--batch", type=int, default=1, help="images in each execution (1)")
    command.set_defaults(run=run_bench)
    command = commands.add_parser("infer", parents=[common], help="write the logits of an array of images")
    command.add_argument("images", metavar="IMAGES.npy", help="uint8 [n, height, width, 3], RGB")
    command.add_argument("logits", metavar="LOGITS.npy", help="the file to write")
    command.set_defaults(run=run_infer)
    command = commands.add_parser("info", parents=[common], help="describe this release and this board")
    command.set_defaults(run=run_info)
    return top


def run_smoke(options: argparse.Namespace) -> Dict[str, Any]:
    """`smoke`."""
    release = Release()
    with Card(options.device, release.model) as card:
        result = worst(card.each(lambda model: smoke(model, release)))
    if not options.json:
        print(
            "smoke test passed: {images} images, {agreement:.0%} agree, largest logit difference "
            "{max_difference:.4g} (allowed {tolerance:.4g}), {milliseconds:.2f} ms an image".format(**result)
        )
    return result


def run_classify(options: argparse.Namespace) -> Dict[str, Any]:
    """`classify`."""
    release = Release()
    answers = []
    pictures = listed(options.pictures)
    inside = options.caption == "inside"
    with Watchdog(release.folder) as dog, Card(options.device, release.model) as card:
        for answer in classify(card, release, dog, pictures, options.output, inside):
            answers.append(answer.to_json())
            if not options.json:
                print("\n".join(describe(answer)))
    if not options.json and all("error" in answer for answer in answers):
        raise Failure(USER, "none of the pictures could be read")
    return {"release": release.id, "pictures": answers}


def run_watch(options: argparse.Namespace) -> Dict[str, Any]:
    """`watch`: ends at SIGTERM, SIGINT or after `--looks`, and releases the device first."""
    release = Release()
    watcher = Watcher(options.folder, options.output or release.place("outputs", options.folder))
    recorder = Recorder(path_for(release.folder, watcher.output), release.id, len(release.labels))
    bounds = Bounds(options.keep, options.keep_megabytes, options.keep_days)
    keeper = Keeper(release.place(UNSURE, watcher.output), bounds)
    count = 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Watchdog(release.folder) as dog, Card(options.device, release.model) as card:
            for answer, line in watch(card, release, dog, watcher, recorder, keeper, options.interval, options.looks):
                count += 1
                print(json.dumps(line) if options.json else "\n".join(describe(answer)), flush=True)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    return {"release": release.id, "pictures": count}


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run_bench(options: argparse.Namespace) -> Dict[str, Any]:
    """`bench`."""
    if options.runs < 1 or options.batch < 1:
        raise Failure(USER, "--runs and --batch are at least 1")
    release = Release()
    with Card(options.device, release.model) as card:
        result = bench(card, release, options.runs, options.batch)
        result["emulated"] = getattr(card.runtime.acl, "EMULATED", False) is True
        result["soc_version"] = str(card.runtime.acl.get_soc_name())
    if not options.json:
        for device in result["devices"]:
            print(
                "device {}: {} executions of {}: median {p50:.3f} ms, 90 % {p90:.3f} ms, 99 % {p99:.3f} ms".format(
                    device["device"], result["runs"], result["batch"], **device["whole"]
                )
            )
        print("{images_a_second:.0f} images a second".format(**result))
        if result["emulated"]:
            print("measured on a stand-in: these numbers say nothing about a board")
    return result


def run_infer(options: argparse.Namespace) -> Dict[str, Any]:
    """`infer`."""
    release = Release()
    with Card(options.device, release.model) as card:
        result = card.first(lambda model: infer(model, release, options.images, options.logits))
    if not options.json:
        print("{images} images, {milliseconds:.3f} ms each".format(**result))
    return result


def run_info(options: argparse.Namespace) -> Dict[str, Any]:
    """`info`."""
    release = Release()
    with Card(options.device, release.model) as card:
        acl, model = card.runtime.acl, card.workers[0].model
        result = {
            "release": release.id,
            "labels": release.labels,
            "compiled_for": release.soc_version,
            "emulated": release.emulated,
            "soc_version": str(acl.get_soc_name()),
            "stand_in": getattr(acl, "EMULATED", False) is True,
            "run_mode": "host" if model.device.host else "device",
            "devices": card.runtime.device_count(),
            "input": {"type": str(model.dtype), "dims": list(model.dims), "layout": "NHWC" if model.nhwc else "NCHW"},
            "batches": model.batches,
        }
    if not options.json:
        for name, value in result.items():
            print(f"{name}: {value}")
    return result
