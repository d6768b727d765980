"""The training specification: recipes that people name, and the value that fixes a training."""
