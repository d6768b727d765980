"""What runs, in which order, and the command that starts it. No input or output of its own."""
