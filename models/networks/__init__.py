"""Networks, one file a family; `models/networks/registry.py` finds them by name."""
