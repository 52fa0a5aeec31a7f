"""What is said on a terminal whose encoding lacks some of our letters. No torch."""

import io
import sys


def escape_what_does_not_print() -> None:
    """Have the output and error streams escape letters that they cannot encode, as in a Latin-1 terminal,
    rather than raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
