"""The stand-in for OBS: an embedded S3 server, and the middleware that makes it behave as OBS."""
