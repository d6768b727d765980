"""The folder that a stand-in board puts on its Python path: it makes `acl` importable, and nothing else."""
