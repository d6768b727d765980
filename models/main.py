"""The boot file of training jobs: the same commands and arguments on a laptop and on ModelArts.

Folders may be `obs://` addresses where MoXing is installed, as in old ModelArts jobs. The file also runs as a script in
a copy of this folder under any name: the folder is loaded as package `models`. Training services add their own
arguments, so unknown ones are ignored; they pass options only, so the default command is `train`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE = "models"
OLDEST_PYTHON = (3, 9)
SPEC_VARIABLE = "ATLASFLOW_SPEC"
_REFUSED = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code (0, or one of `models/failures.py`)."""
    if sys.version_info < OLDEST_PYTHON:  # the engine of a training service may be older; this file parses there
        found = ".".join(map(str, sys.version_info[:2]))
        message = f"this needs Python 3.9 or later, but the engine has Python {found}"
        hint = "choose an engine with MindSpore 2 and Python 3.9 or later (modelarts.engine)"
        print("@atlasflow " + json.dumps({"event": "error", "kind": "refused", "message": message, "hint": hint}))
        return _REFUSED
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0].startswith("--") and words[0] != "--help":
        words.insert(0, "train")
    options, _ = _parser().parse_known_args(words)
    protocol, failures = _load("protocol"), _load("failures")
    if os.environ.get("ATLASFLOW_EXIT_WITH_STDIN") == "1":
        protocol.end_with_stdin()
    try:
        with _load("moxing").with_local_folders(options, first=_load("training.runtime").role() == "first"):
            if hasattr(options, "data_url"):
                options.data_url = _load("data.archive").unpack(options.data_url)
            _COMMANDS[options.command](options)
    except failures.Failure as failure:
        protocol.error(failure.kind, failure.message, failure.hint)
        return int(failure.exit_code)
    return 0


def _train(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    runtime = _load("training.runtime")
    if runtime.role() == "scheduler":
        runtime.prepare(spec.seed)
        return
    first = runtime.role() == "first"
    if not first:
        _load("protocol").mute()
    with _load("files").lock_folder(options.train_url) if first else contextlib.nullcontext():
        if first and options.resume_url is not None:
            _load("training.resume").copy_state(options.resume_url, options.train_url)
        if first:
            _load("files").remove_digests(options.train_url)
        runtime.prepare(spec.seed)  # with several devices, the others wait here for the first
        training = _load("training.loop")
        start = None
        if options.pretrain_url is not None:
            native_name = getattr(_network(spec), "native_name", lambda _spec, name: name)
            path = _load("files").checkpoint_at(options.pretrain_url)
            start = training.Start(path, lambda name: str(native_name(spec, name)))
        training.train(spec, _builder(spec), options.data_url, options.train_url, start)
    if first and runtime.device() == "Ascend":
        _export_air(spec, options)
    if first:
        _load("files").write_digests(options.train_url)  # last: it marks complete results


def _export_air(spec: Any, options: argparse.Namespace) -> None:
    """Write the AIR file while the job has an Ascend device, so that no second job is needed.

    A failed AIR export does not fail the paid training: MindSpore abandons AIR (docs/reference/pitfalls.md §8.5), and
    the ONNX file is sufficient for all later stages.
    """
    checkpoint = options.train_url / "checkpoint.ckpt"
    try:
        _load("export").export(spec, _builder(spec), options.data_url, checkpoint, "air", options.train_url)
    except Exception as error:  # noqa: BLE001 - the training is complete whatever fails
        (options.train_url / "model.air").unlink(missing_ok=True)
        _load("protocol").log(f"no AIR file, because its export failed: {type(error).__name__}: {error}")


def _evaluate(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    before, after = (spec, _builder(spec), options.data_url), (options.checkpoint, options.output)
    if options.corrupted_url is None:
        _load("evaluation.evaluate").evaluate(*before, *after, options.views)
    else:
        _load("evaluation.robustness").evaluate(*before, options.corrupted_url, *after)


def _export(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("export").export(
        spec, _builder(spec), options.data_url, options.checkpoint, options.format, options.output, options.batch
    )


def _answer(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("serving").answer(spec, _builder(spec), options.checkpoint, sys.stdin)


def _compare(options: argparse.Namespace) -> None:
    _load("evaluation.comparison").compare_files(options.first, options.second, options.output)


def _profile(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("evaluation.profile").profile(
        spec, _builder(spec), options.data_url, options.checkpoint, options.model, options.output
    )


def _describe(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("evaluation.profile").describe(spec, _builder(spec), options.output)


def _step(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("training.step_profile").profile_step(spec, _builder(spec), options.data_url, options.output)


def _rates(options: argparse.Namespace) -> None:
    spec = _spec(options.spec)
    _load("training.runtime").prepare(spec.seed)
    _load("training.rate_range").measure_rates(spec, _builder(spec), options.data_url, options.output)


_COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "profile": _profile,
    "describe": _describe,
    "step": _step,
    "rates": _rates,
    "answer": _answer,
    "compare": _compare,
}


def _load(name: str) -> Any:
    """Import a module of this package when it is needed."""
    if PACKAGE not in sys.modules:
        # By path: the standard library's module would hide a folder called `code`.
        here = Path(__file__).resolve().parent
        found = importlib.util.spec_from_file_location(
            PACKAGE, here / "__init__.py", submodule_search_locations=[str(here)]
        )
        if found is None or found.loader is None:
            raise ImportError(f"{here} is not a complete copy of {PACKAGE}")
        package = importlib.util.module_from_spec(found)
        sys.modules[PACKAGE] = package
        found.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{name}")


def _spec(text: str) -> Any:
    """Read a specification from JSON text (it starts with a brace) or from a file."""
    if text.lstrip().startswith("{"):
        return _load("spec.recipes").load(text)
    try:
        content = Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _load("failures").InputError(f"--spec: {text} cannot be read: {error}") from error
    return _load("spec.recipes").load(content)


def _builder(spec: Any) -> Any:
    return _network(spec).build


def _network(spec: Any) -> Any:
    """Import the module of the chosen network only."""
    return importlib.import_module(_load("networks.registry").module_of(spec.network, PACKAGE))


def _parser() -> argparse.ArgumentParser:
    path_or_address = _load("moxing").path_or_address
    # Without abbreviations: a service's own `--data` would be read as `--data_url`.
    parser = argparse.ArgumentParser(
        prog="main.py", description="Train, evaluate and export image classifiers.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = partial(commands.add_parser, allow_abbrev=False)
    train = add("train", help="train, or resume an interrupted training")
    evaluate = add("evaluate", help="accuracy, confusion matrix and predictions of a checkpoint")
    profile = add("profile", help="size, latency, multiply-adds and tuning score")
    describe = add("describe", help="output shape, parameters and multiply-adds of each layer")
    step = add("step", help="milliseconds of a training step by layer")
    rates = add("rates", help="loss of a short training whose learning rate rises")
    compare = add("compare", help="compare two sets of predictions of the same images")
    answer = add("answer", help="compute the logits of each image from standard input")
    export = add("export", help="write MINDIR, ONNX or AIR and compare it with the checkpoint")
    for command in (train, evaluate, export, profile, step, rates):
        command.add_argument("--data_url", type=path_or_address, required=True, help="folder with train/ and eval/")
    for command in (train, evaluate, export, profile, describe, answer, step, rates):
        command.add_argument(
            "--spec",
            default=os.environ.get(SPEC_VARIABLE),
            required=SPEC_VARIABLE not in os.environ,
            help=f"training specification: JSON, or a JSON file; default: ${SPEC_VARIABLE}",
        )
    train.add_argument("--train_url", type=path_or_address, required=True, help="folder for checkpoints and results")
    train.add_argument(
        "--resume_url", type=path_or_address, help="folder with the results of an interrupted run of this training"
    )
    train.add_argument(
        "--pretrain_url", type=path_or_address, help="checkpoint (.ckpt or .safetensors) to start from, or its folder"
    )
    for command in (evaluate, export, answer):
        command.add_argument("--checkpoint", type=path_or_address, required=True, help="file to load")
    profile.add_argument(
        "--checkpoint", type=path_or_address, help="file to load; without it, only the cost is measured"
    )
    for command in (evaluate, export, profile, describe, step, rates):
        command.add_argument("--output", type=path_or_address, required=True, help="folder for the results")
    compare.add_argument("--first", type=Path, required=True, help="predictions.npz of an evaluation")
    compare.add_argument("--second", type=Path, required=True, help="predictions.npz of another evaluation")
    compare.add_argument("--output", type=Path, required=True, help="folder for comparison.json")
    evaluate.add_argument(
        "--corrupted_url", type=path_or_address, help="measure robustness: a folder with corrupted images"
    )
    evaluate.add_argument(
        "--views", type=int, default=1, choices=(1, 2, 6), help="also average over mirrored and shifted images"
    )
    profile.add_argument("--model", type=Path, help="exported ONNX file to measure as well")
    export.add_argument("--format", required=True, choices=("mindir", "onnx", "air"))
    export.add_argument("--batch", type=int, default=0, help="images per call; 0 (default) for any number")
    return parser


if __name__ == "__main__":
    sys.exit(main())
