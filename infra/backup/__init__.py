"""A home's state as one file, and back."""
