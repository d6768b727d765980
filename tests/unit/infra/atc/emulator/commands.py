"""Beginnings of command lines of the compiler."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[5]
BASE = ["--model=net.onnx", "--framework=5", "--output=net", "--soc_version=Ascend310"]
SHAPE = "--input_shape=image:1,3,32,32"
DYNAMIC = "--input_shape=image:-1,3,32,32"
AIR = ["--model=net.air", "--framework=1", "--output=net", "--soc_version=Ascend310"]
