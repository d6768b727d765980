"""The real Jupyter behind a notebook instance of the stand-in."""
