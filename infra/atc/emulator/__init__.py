"""The stand-in for ATC: a command with ATC's options, checks and error codes."""
