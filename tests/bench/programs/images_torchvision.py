"""ImageFolder and DataLoader of torchvision, for `tests.bench.images`; prints images a second of each epoch.

PYTHON tests/bench/programs/images_torchvision.py FOLDER SIZE BATCH EPOCHS
"""

import sys
import time

import torch
from torchvision import datasets, transforms

folder, size, batch, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
steps = [
    transforms.Resize((size, size)),
    transforms.RandomCrop(size, padding=size // 8),
    transforms.RandomHorizontalFlip(),
    transforms.ToTensor(),
    transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
]
images = datasets.ImageFolder(folder, transforms.Compose(steps))
loader = torch.utils.data.DataLoader(images, batch, shuffle=True, num_workers=2, drop_last=True)
for _ in range(epochs):
    begun, count = time.perf_counter(), 0
    for tensor, _labels in loader:
        count += len(tensor)
    print(count / (time.perf_counter() - begun))
