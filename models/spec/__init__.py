"""The training specification and named recipes."""
