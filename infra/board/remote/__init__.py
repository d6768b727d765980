"""What the client runs on a board while it is connected: sent over standard input, never installed.

Python 3.6 and the standard library only. `serve.py` answers requests, one JSON object a line; `facts.py` looks at the
board, `releases.py` keeps its releases. The process holds the board's lock, so the lock ends with the connection.
"""
