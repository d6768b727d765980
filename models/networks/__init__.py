"""Networks, one file per family; `models/networks/registry.py` looks them up by name."""
