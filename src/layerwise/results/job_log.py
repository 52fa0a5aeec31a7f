"""How a job of the pipeline reports: its messages go to its log, a failure also says why in a line."""

import resource
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from layerwise.results.terminal import escape_what_does_not_print


@contextmanager
def job_log(path: Path | None) -> Iterator[None]:
    """Write what the job says on the error stream to ``path``, and then what it took; None, for a job by
    hand, leaves it there.

    An exception ends the job with exit code 1, its traceback in the log and one line on the real
    error stream: what went wrong, and where the log is.
    """
    escape_what_does_not_print()
    with _redirected(path):
        start = time.perf_counter()
        try:
            yield
            _say_what_it_took(time.perf_counter() - start)
        except KeyboardInterrupt:
            sys.exit(130)  # as a shell says of Ctrl-C; the pipeline says the rest
        except Exception as error:
            where = ""
            if path is not None:
                traceback.print_exc()
                where = f" (log: {path})"
            print(f"error: {' '.join(str(error).split())}{where}", file=sys.__stderr__)
            sys.exit(1)


def _say_what_it_took(seconds: float) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss there, and elsewhere
    print(
        f"took {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU with its start, "
        f"{usage.ru_maxrss * unit / 1e6:.0f} MB of memory at most",
        file=sys.stderr,
    )


@contextmanager
def _redirected(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as log, redirect_stderr(log):
        yield
