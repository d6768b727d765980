"""Networks, one file a family; `models/registry.py` finds them by name."""
