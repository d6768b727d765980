"""What an engine's name says about it, such as `mindspore_1.3.0-cuda_10.1-py_3.7-ubuntu_1804-x86_64`."""

import re

_MINDSPORE = (2, 0)
_PYTHON = (3, 9)  # docs/cloud.md, as `models/main.py` checks it


def too_old(engine: str) -> str:
    """Say what of an engine is too old for AtlasFlow's code; empty when nothing is, or the name does not tell."""
    found = []
    for title, pattern, least in (
        ("MindSpore", r"mindspore[_-](\d+)\.(\d+)", _MINDSPORE),
        ("Python", r"py(?:thon)?[_-]?(\d)\.(\d+)", _PYTHON),
    ):
        match = re.search(pattern, engine)
        version = (int(match[1]), int(match[2])) if match else least
        if version < least:
            found.append(f"{title} {version[0]}.{version[1]}, where {least[0]}.{least[1]} is needed")
    return " and ".join(found)
