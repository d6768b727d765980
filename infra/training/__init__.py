"""Where training runs: a local process, or a ModelArts job."""
