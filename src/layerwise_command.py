"""Where the `layerwise` command starts, under a name that nothing else has.

Folders of the user's PYTHONPATH are searched last from here on. What they hold may be called as this
package, one that it needs or a module of Python's own, and is not taken for it.
"""

import os
import sys


def main() -> None:
    """Run the command."""
    users = set(map(os.path.abspath, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    users.discard(os.path.dirname(os.path.abspath(__file__)))
    sys.path.sort(key=lambda folder: folder in users)  # the others stay in order
    from layerwise.cli import main as command

    command()


if __name__ == "__main__":
    main()
