"""Training and evaluation with MindSpore. Self-contained: a training service receives this folder alone."""
