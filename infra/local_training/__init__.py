"""Training and evaluation in a local process."""
