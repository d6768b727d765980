"""The class names of CIFAR-10, in the order of their numbers."""

from models.data.records import NAMES as CLASSES

__all__ = ["CLASSES"]
