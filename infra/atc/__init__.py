"""ATC, Ascend's model compiler: its client, its stand-in, and the `.om` file format."""
