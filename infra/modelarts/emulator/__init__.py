"""The stand-in for ModelArts: an HTTP server that runs the jobs on this machine."""
