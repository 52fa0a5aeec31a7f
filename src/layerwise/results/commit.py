"""Which commit of the project runs."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
DESCRIBE = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def commit() -> str | None:
    """The commit of the checkout that the package lies in, with -dirty where files differ from it; None
    where that is no checkout, or there is no git."""
    try:
        done = subprocess.run(DESCRIBE, cwd=HERE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
