"""How a job of the pipeline reports: its messages go to its log, a failure also says why in a line."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from layerwise.results.terminal import escape_what_does_not_print


@contextmanager
def job_log(path: Path | None) -> Iterator[None]:
    """Write what the job says on the error stream to ``path``; None, for a job by hand, leaves it there.

    An exception ends the job with exit code 1, its traceback in the log and one line on the real
    error stream: what went wrong, and where the log is.
    """
    escape_what_does_not_print()
    with _redirected(path):
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)  # as a shell says of Ctrl-C; the pipeline says the rest
        except Exception as error:
            where = ""
            if path is not None:
                traceback.print_exc()
                where = f" (log: {path})"
            print(f"error: {' '.join(str(error).split())}{where}", file=sys.__stderr__)
            sys.exit(1)


@contextmanager
def _redirected(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as log, redirect_stderr(log):
        yield
