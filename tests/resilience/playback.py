"""A program that plays `models/main.py` and the compiler's stand-in back from one real run.

The environment variable `ATLASFLOW_TEST_RECORDED` names the folder `latest` of the home that the real run filled.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

RECORDED = "ATLASFLOW_TEST_RECORDED"
_REFUSED = 4


def main(recorded: Any, command: Any, *words: Any) -> Any:
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    if command == "atc":
        print((recorded / "convert" / "atc.log").read_text(), end="")
        shutil.copyfile(recorded / "convert" / "om" / options["soc_version"] / "model.om", f"{options['output']}.om")
    elif command == "train":
        names = ("checkpoint.ckpt", "history.csv", "history.jsonl", "steps.csv", "result.json")
        _copy(recorded / "train", names, options["train_url"])
        print((recorded / "train" / "train.log").read_text(), end="")
    elif command == "evaluate":
        _copy(recorded / "evaluate", ("metrics.json", "predictions.npz"), options["output"])
    elif command == "export":
        return _export(recorded / "export", options["format"], options["output"])
    return 0


def _export(recorded: Any, style: Any, output: Any) -> Any:
    check = json.loads((recorded / "checks.json").read_text())[style]
    if not check.pop("made"):
        message = check["reason"].removeprefix("models/main.py export: ")
        print("@atlasflow " + json.dumps({"event": "error", "kind": "refused", "message": message}))
        return _REFUSED
    _copy(recorded, [f"model.{style}"], output)
    shutil.copyfile(recorded / "logits" / f"{style}.npy", Path(output, "logits.npy"))
    Path(output, "check.json").write_text(json.dumps(check))
    Path(output, "latency.json").write_text(json.dumps(json.loads((recorded / "latency.json").read_text())[style]))
    return 0


def _copy(recorded: Any, names: Any, folder: Any) -> None:
    for name in names:
        shutil.copyfile(recorded / name, Path(folder) / name)


if __name__ == "__main__":
    sys.exit(main(Path(os.environ[RECORDED]), *sys.argv[1:]))
