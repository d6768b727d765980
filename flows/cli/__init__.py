"""The command `atlasflow`: a file for each command or group of commands, named as the user types it."""
