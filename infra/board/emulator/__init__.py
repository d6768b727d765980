"""The stand-in for a board: an SSH server with a home folder and an emulated `acl` module."""
