"""The class names of CIFAR-10, in the order of their numbers."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
