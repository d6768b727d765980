"""Boards: the SSH client, the agent that runs on them, and the stand-ins for a board and its `acl` module."""
