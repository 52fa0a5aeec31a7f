"""How a job of the pipeline reports: its messages go to its log, a failure also says why in a line."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path


@contextmanager
def job_log(path: Path) -> Iterator[None]:
    """Write what the job says on the error stream to ``path``.

    An exception ends the job with exit code 1, its traceback in the log and one line on the real
    error stream: what went wrong, and where the log is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as log, redirect_stderr(log):
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)  # as a shell says of Ctrl-C; the pipeline says the rest
        except Exception as error:
            traceback.print_exc()
            print(f"error: {' '.join(str(error).split())} (log: {path})", file=sys.__stderr__)
            sys.exit(1)
