"""The learning: MindSpore and numpy; self-contained, so that this folder alone is what a training service gets."""
