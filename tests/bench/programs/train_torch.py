"""The same networks and steps in PyTorch, for `tests.bench.training`; prints images a second, by the median and by the
fastest step, and images a second of processor time.

BENCH_PYTHON tests/bench/programs/train_torch.py NETWORK BATCH SIZE SECONDS [PRECISION]
"""

import os
import statistics
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5, bias=False), nn.Conv2d(6, 16, 5, bias=False)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(self.fc2(self.fc1(x.flatten(1))))


def convolution(inputs: Any, outputs: Any, kernel: Any, stride: int = 1) -> Any:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs: Any, width: Any, stride: Any) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = convolution(width, width, 3), nn.BatchNorm2d(width)
        self.stride, self.more = stride, width - inputs

    def forward(self, x: Any) -> Any:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1:
            before = self.more // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.more - before))
        return F.relu(y + x)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: Any, width: Any, stride: Any) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.norm1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = convolution(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


def residual(block: Any, depths: Any, width: Any, *stem: Any) -> Any:
    layers, channels = list(stem), width
    for stage, depth in enumerate(depths):
        for index in range(depth):
            layers.append(block(channels, width << stage, 2 if stage and not index else 1))
            channels = block.expansion * (width << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def resnet20() -> Any:
    return residual(Basic, (3, 3, 3), 16, convolution(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())


def resnet50() -> Any:
    stem = (convolution(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return residual(Bottleneck, (3, 4, 6, 3), 64, *stem)


class Inverted(nn.Module):
    def __init__(self, inputs: Any, outputs: Any, stride: Any, expansion: Any) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = unit(inputs, hidden, 1) if expansion > 1 else []
        layers += [*unit(hidden, hidden, 3, stride, hidden), convolution(hidden, outputs, 1), nn.BatchNorm2d(outputs)]
        self.body, self.same = nn.Sequential(*layers), stride == 1 and inputs == outputs

    def forward(self, x: Any) -> Any:
        return x + self.body(x) if self.same else self.body(x)


def unit(inputs: Any, outputs: Any, kernel: Any, stride: Any = 1, groups: Any = 1) -> Any:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True)]


def mobilenetv2() -> Any:
    layers, channels = unit(3, 32, 3, 1 if size <= 64 else 2), 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 1 if size <= 64 else 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    for expansion, outputs, count, stride in (*stages, (6, 160, 3, 2), (6, 320, 1, 1)):
        for index in range(count):
            layers.append(Inverted(channels, outputs, 1 if index else stride, expansion))
            channels = outputs
    return nn.Sequential(*layers, *unit(320, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 10))


def fast94() -> Any:
    whitening = nn.Conv2d(3, 24, 2, bias=False)
    whitening.weight.requires_grad = False
    layers, inputs = [whitening, nn.SiLU()], 24
    for outputs in (64, 256, 256):
        for source, pool in ((inputs, [nn.MaxPool2d(2)]), (outputs, [])):
            norm = nn.BatchNorm2d(outputs)
            norm.weight.requires_grad = False
            layers += [convolution(source, outputs, 3), *pool, norm, nn.SiLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False))


name, batch, size, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
half = sys.argv[5:] == ["bfloat16"]
torch.manual_seed(0)
torch.set_num_threads(len(os.sched_getaffinity(0)))
builders = {"lenet5": LeNet5, "resnet20": resnet20, "resnet50": resnet50, "mobilenetv2": mobilenetv2, "fast94": fast94}
network = builders[name]()
optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], 0.01, momentum=0.9)
images, labels = torch.randn(batch, 3, size, size), torch.randint(0, 10, (batch,))


def timed() -> Any:
    begun = time.perf_counter()
    optimizer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = F.cross_entropy(network(images), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    return time.perf_counter() - begun


for _ in range(3):
    timed()
times: list[float] = []
processor = time.process_time()
while len(times) < 3 or sum(times) < seconds:
    times.append(timed())
processor = time.process_time() - processor
print(batch / statistics.median(times), batch / min(times), batch * len(times) / processor)
