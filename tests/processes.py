"""Child processes of the tests, told apart by a word of their command."""

import psutil


def children(word: str) -> list[psutil.Process]:
    """Those that run and have `word` in their command; what ends meanwhile is none of them."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            said = " ".join(child.cmdline())
        except psutil.Error:
            continue  # it has just ended, or waits to be collected
        if word in said:
            found.append(child)
    return found
