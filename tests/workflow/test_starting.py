"""How a rule starts a script: as usual, or in a fork of what has its libraries; the same either way."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from layerwise.planning.places import PROJECT

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere scripts start as usual"),
]
SCRIPTS = PROJECT / "scripts"
START = [sys.executable, "-I", "-S", str(SCRIPTS / "start.py")]
# What tells where a script runs, and everything that it is given.
PROBE = """
import os, sys
shared = "layerwise.tasks.run" in sys.modules
print("shared" if shared else "usual", os.getcwd(), sys.argv[1:], os.environ.get("COLOUR"), sys.path[0])
print(sys.stdin.read(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def snakemake() -> Iterator[subprocess.Popen[str]]:
    """What stands for one: a process that lasts as long as the tests."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def surroundings(snakemake: subprocess.Popen[str], tmp_path_factory) -> dict[str, str]:
    """Those of a job, in which the shared process is at work."""
    given = os.environ | {"LAYERWISE_WARM": f"{snakemake.pid} test-{token_hex(8)}"}
    probe = tmp_path_factory.mktemp("probe") / "probe.py"
    probe.write_text(PROBE)
    assert start(given, str(probe)).stdout.startswith("usual ")  # nothing is loaded yet
    for _ in range(3):  # a machine may end the shared process, which the next job starts again
        helped = start(given, str(SCRIPTS / "simulate.py"), "--help")
        assert (helped.returncode, helped.stdout[:19]) == (0, "usage: simulate.py ")
        if start(given, str(probe)).stdout.startswith("shared "):
            return given
    raise AssertionError("the shared process does not last")


def start(
    given: dict[str, str], *words: str, said: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*START, *words],
        env=given,
        input=said,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def both(
    surroundings: dict[str, str], script: Path, *words: str, cwd: Path, said: str = ""
) -> tuple[int, str, str]:
    """Status and output in the shared process, which are those of a usual start but for where it was."""
    usual = {key: value for key, value in surroundings.items() if key != "LAYERWISE_WARM"}
    ran = [start(given, str(script), *words, said=said, cwd=cwd) for given in (surroundings, usual)]
    shared, plain = ((one.returncode, one.stdout, one.stderr) for one in ran)
    frames = r'  File "[^"]*(warm|runpy)[^\n]*\n(    [^\n]*\n)+'
    frozen = r'  File "<frozen runpy>"[^\n]*\n'
    told = [re.sub(f"{frames}|{frozen}", "", one[2]) for one in (shared, plain)]
    assert told[0] == told[1]
    assert (shared[0], shared[1].replace("shared", "usual")) == plain[:2]
    return shared


def test_folder_words_streams_and_surroundings_are_the_jobs(surroundings, tmp_path):
    script = tmp_path / "probe.py"
    script.write_text(PROBE.replace(", sys.path[0]", ""))
    status, out, err = both(surroundings, script, "--a", "b c", cwd=tmp_path, said="ж\n")
    assert (status, err) == (0, "ж\n\n")
    assert out == f"shared {tmp_path} ['--a', 'b c'] None\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('said')", 1),
        ("raise ValueError('no')", 1),
        ("import sys; print(1); sys.stdout.flush(); raise KeyboardInterrupt", None),
        ("import atexit; atexit.register(print, 'last words')", 0),
    ],
)
def test_a_script_ends_as_it_would(surroundings, tmp_path, body, status):
    script = tmp_path / "ends.py"
    script.write_text(body + "\n")
    if status is None:  # a shell says 130 of both
        assert start(surroundings, str(script)).returncode in (130, -signal.SIGINT)
    else:
        assert both(surroundings, script, cwd=tmp_path)[0] == status


def test_a_job_leaves_the_folder_that_stands_for_one_in_the_home(snakemake):
    """Matplotlib makes it once, as it is imported, and removes it as its process ends."""
    name = f"{snakemake.pid} test-{token_hex(8)}"
    given = os.environ | {"MPLCONFIGDIR": os.devnull, "LAYERWISE_WARM": name}
    for _ in range(3):
        ran = start(given, str(SCRIPTS / "plot.py"), "--help")
        assert ran.returncode == 0 and "Traceback" not in ran.stderr


def test_a_job_that_is_killed_has_failed(surroundings, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text("import os; os.kill(os.getpid(), 9)\n")
    assert start(surroundings, str(script)).returncode == 128 + signal.SIGKILL


def test_other_surroundings_are_a_usual_start(surroundings, tmp_path):
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    other = start(surroundings | {"COLOUR": "red"}, str(script))
    assert other.stdout.startswith("usual ") and " red " in other.stdout
    assert start(surroundings, str(script)).stdout.startswith("shared ")


@pytest.mark.parametrize("body", ["raise ImportError", "pass"])
def test_what_cannot_be_shared_is_a_usual_start(tmp_path, body):
    """The shared process ends before it has taken a job."""
    (tmp_path / "start.py").write_text((SCRIPTS / "start.py").read_text())
    (tmp_path / "warm.py").write_text(body + "\n")
    (tmp_path / "probe.py").write_text(PROBE)
    given = os.environ | {"LAYERWISE_WARM": f"{os.getpid()} test-{token_hex(8)}"}
    words = [*START[:3], str(tmp_path / "start.py"), str(tmp_path / "probe.py")]
    ran = subprocess.run(words, env=given, input="", capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("usual ") and ran.stderr == "\n"


def test_it_is_shared_where_a_script_s_folder_is_not_on_the_path(tmp_path):
    given = os.environ | {"LAYERWISE_WARM": f"{os.getpid()} test-{token_hex(8)}"}
    given |= {"PYTHONSAFEPATH": "1"}
    probe = tmp_path / "probe.py"
    probe.write_text(PROBE)
    assert start(given, str(SCRIPTS / "simulate.py"), "--help").returncode == 0
    assert start(given, str(probe)).stdout.startswith("shared ")


def ended(descriptor: int) -> bool:
    """Whether all who have the writing end of a pipe end within seconds."""
    ready, _, _ = select.select([descriptor], [], [], 20)
    return bool(ready) and os.read(descriptor, 1) == b""


WAITS = "import sys, time\nprint('at work', flush=True)\nsys.stdin.close()\ntime.sleep(1000)\n"


def at_work(given: dict[str, str], script: Path) -> subprocess.Popen[str]:
    script.write_text(WAITS)
    job = subprocess.Popen(
        [*START, str(script)],
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore it, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert job.stdout is not None and job.stdout.readline() == "at work\n"
    return job


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_job_ends_with_what_started_it(surroundings, tmp_path, sent):
    with at_work(surroundings, tmp_path / "waits.py") as job:
        job.send_signal(sent)
        found = job.stdout is not None and ended(job.stdout.fileno())
        job.kill()  # or a test that fails would wait for it
    assert found


def test_all_end_with_snakemake(surroundings, tmp_path):
    """Its jobs, and what they shared; the next job starts as usual."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as snakemake:
        given = surroundings | {"LAYERWISE_WARM": f"{snakemake.pid} test-{token_hex(8)}"}
        with at_work(given, tmp_path / "waits.py") as job:
            snakemake.kill()
            assert job.stdout is not None and ended(job.stdout.fileno())
            assert job.wait() == 1
    name = given["LAYERWISE_WARM"].split()[1]
    with pytest.raises(ConnectionRefusedError):
        while True:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"\0{name}")
