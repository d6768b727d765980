"""The inference page of a xihe repository; with a picture as argument it prints what the page would show."""

import sys
from pathlib import Path

import numpy as np
from mindspore import Model, Tensor, load_checkpoint, load_param_into_net, nn
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "train" / "train_dir"))

from train import LeNet5

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def predict(picture):
    """Return the confidence of each class."""
    pixels = np.asarray(picture.convert("RGB").resize((32, 32)), np.float32) / 255
    values = (pixels - [0.4914, 0.4822, 0.4465]) / [0.2023, 0.1994, 0.2010]
    network = LeNet5()
    load_param_into_net(network, load_checkpoint("./best.ckpt"))  # the platform puts it here
    logits = Model(network).predict(Tensor(values.transpose(2, 0, 1)[np.newaxis].astype(np.float32)))
    confidence = nn.Softmax()(logits).asnumpy()[0]
    return dict(zip(NAMES, confidence.tolist()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        for name, value in sorted(predict(Image.open(sys.argv[1])).items(), key=lambda item: -item[1]):
            print(f"{name}: {value:.4f}")
    else:
        import gradio

        gradio.Interface(predict, gradio.Image(type="pil"), gradio.Label(num_top_classes=10)).launch()
