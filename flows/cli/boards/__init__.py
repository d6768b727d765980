"""The commands `atlasflow boards …`."""
