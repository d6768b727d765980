"""ModelArts: the client for training jobs and notebooks. Its stand-in is in `emulator/`."""
