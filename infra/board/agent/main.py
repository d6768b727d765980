"""Entry point on the board: `python3 agent/main.py COMMAND`, in any working directory."""

import os
import sys

if __name__ == "__main__":
    sys.dont_write_bytecode = True  # a release is never written to
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    from agent.cli import main

    sys.exit(main(sys.argv[1:]))
