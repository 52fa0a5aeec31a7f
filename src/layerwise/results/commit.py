"""Which commit of the project runs."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
IS_TRACKED = ("git", "ls-files", "--error-unmatch", Path(__file__).name)
DESCRIBE = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def commit(folder: Path = HERE) -> str | None:
    """The commit of the checkout that the package's ``folder`` lies in, with -dirty where files differ from
    it; None where that is no checkout, or there is no git.

    A copy, or an installed package, may lie within a repository of something else, whose commit says
    nothing of it: that does not track this file. So may variables such as GIT_DIR name another one."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        for command in (IS_TRACKED, DESCRIBE):
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
