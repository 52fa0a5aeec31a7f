"""What the pipeline needs of a machine: no network, no home, no compiler, and any number of threads."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from checkout import TINY, Checkout, only
from layerwise.command.snakemake import _environment
from layerwise.results.tables import read_table
from layerwise.tasks.run import _threads

pytestmark = pytest.mark.processes

# Loaded by every Python of the run: whoever asks for another machine is answered with an error.
NO_NETWORK = """
import socket

def _refused(*arguments, **options):
    open({witness!r}, "a").write(repr(arguments))
    raise OSError("no network")

socket.getaddrinfo = socket.gethostbyname = socket.create_connection = _refused
_connect = socket.socket.connect
socket.socket.connect = (
    lambda self, address: _connect(self, address) if self.family == socket.AF_UNIX else _refused(address)
)
"""
COMPILERS = (
    "cc",
    "c++",
    "c89",
    "c99",
    "gcc",
    "g++",
    "clang",
    "cpp",
    "ld",
    "as",
    "make",
    "cmake",
    "nvcc",
)


def programs(folder: Path) -> Path:
    """A folder with the system's programs, without the compilers."""
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for program in Path(place).iterdir():
            stem = program.name.removeprefix("x86_64-linux-gnu-").partition("-")[0]
            if stem not in COMPILERS and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return folder


def run(checkout: Checkout, cores: int, **environment: str) -> None:
    """The small pipeline in a changed environment, by the command."""
    words = ["reproduce", "contraction", "--scale", "quick", "--cores", str(cores), *TINY]
    command = [sys.executable, "-m", "layerwise_command", *words]
    path = [str(Path(sys.executable).parent), environment.pop("PATH", os.environ["PATH"])]
    changed = {"PYTHONPATH": str(checkout.folder / "src"), **environment}
    done = subprocess.run(
        command, cwd=checkout.folder, capture_output=True, encoding="latin-1",
        env=os.environ | {"PATH": os.pathsep.join(path)} | changed,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_threads_change_results_by_rounding_alone(tmp_path):
    """A run of the default dimensions on one thread and on two."""
    found = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.parquet"
        words = ["method=kfac", "method.lr=[0.1,0.5]", "seeds=3", "steps=20", f"out={out}"]
        subprocess.run(
            [sys.executable, "-m", "layerwise.simulate", *words],
            env=os.environ | {"OMP_NUM_THREADS": threads}, check=True, capture_output=True,
        )  # fmt: skip
        threads_used = json.loads(Path(f"{out}.json").read_text())["threads"]
        assert threads_used == min(int(threads), os.cpu_count() or 1)
        found.append(read_table(out))
    pd.testing.assert_frame_equal(*found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("said", "threads"),
    [("1,2", 1), (" 1 ", 1), ("", 1), ("0", 1), ("-3", 1), ("many", 1), ("99999", os.cpu_count())],
)
def test_threads_are_as_openmp_is_told_and_no_more_than_cpus(monkeypatch, said, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert _threads() == threads


MATPLOTLIBRC = """
text.usetex: True
font.family: no such font
axes.prop_cycle: cycler('color', ['ff00ff'])
figure.dpi: 40
savefig.bbox: tight
lines.marker: o
"""
# Of a cluster's login, read by every bash.
BASH_ENV = """
cd /
python() { return 3; }
"""
PROFILE = """
quiet: [all]
rerun-triggers: [mtime]
forceall: true
"""


# What a user's folder may hide: this package, some that it needs, modules of Python's own.
HIDING = ("layerwise", "hydra", "numpy", "pandas", "snakemake", "random", "statistics", "logging")


def users_packages(folder: Path) -> Path:
    """A folder of packages as `pip install --user` makes it, with some of the project's that are broken."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    for name in ("numpy", "pandas", "hydra", "usercustomize"):
        (packages / f"{name}.py").write_text(f"raise ImportError('the user\\'s own {name}')\n")
    return folder


def users_own(folder: Path, checkout: Checkout) -> dict[str, str]:
    """Settings that a user may have made for other programs, as environment variables."""
    (folder / "matplotlibrc").write_text(MATPLOTLIBRC)
    (folder / "bashrc").write_text(BASH_ENV)
    (folder / "profile").mkdir()
    (folder / "profile/config.yaml").write_text(PROFILE)
    for name in ("config", "scripts", "tasks", "figures", "helpers", "command", *HIDING):
        (folder / "packages" / name).mkdir(parents=True)
        code = f"raise ImportError('the user\\'s {name}')\n"
        (folder / "packages" / name / "__init__.py").write_text(code)
    path = [str(folder / "packages"), str(checkout.folder / "src")]
    return {
        "PYTHONPATH": os.pathsep.join(path),
        "MATPLOTLIBRC": str(folder / "matplotlibrc"), "MPLBACKEND": "no such backend",
        "PYTHONUSERBASE": str(users_packages(folder / "user")),
        "SNAKEMAKE_PROFILE": str(folder / "profile"), "BASH_ENV": str(folder / "bashrc"),
        "PYTHONOPTIMIZE": "1", "PYTHONWARNINGS": "error", "PYTHONSAFEPATH": "1", "LC_ALL": "C",
        "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1",
    }  # fmt: skip


def test_results_do_not_depend_on_the_machine_around_them(small_once, tmp_path):
    """On two cores as it stands, and on one core with two threads, another hash seed and time zone, a
    home that cannot be written, no network, no compiler, and what a user has set for other programs: the
    same tables, to round-off, and the same pictures; and then what a changed setting
    concerns is due, and nothing else."""
    bare = Checkout(tmp_path / "bare")
    witness = tmp_path / "asked.txt"
    (bare.folder / "src/sitecustomize.py").write_text(NO_NETWORK.format(witness=str(witness)))
    (tmp_path / "home").write_text("a file, so that nothing can be made in it")
    home = str(tmp_path / "home")
    run(
        bare, 1, OMP_NUM_THREADS="2", MKL_NUM_THREADS="2", PYTHONHASHSEED="7", TZ="Asia/Tokyo",
        HOME=home, XDG_CACHE_HOME=f"{home}/cache", XDG_CONFIG_HOME=f"{home}/config",
        MPLCONFIGDIR=f"{home}/matplotlib", PATH=str(programs(tmp_path / "bin")), CC="false",
        **(own := users_own(tmp_path, bare)),
    )  # fmt: skip
    assert shutil.which("gcc", path=tmp_path / "bin") is None
    assert not witness.exists()
    expected, found = small_once.tables(), bare.tables()
    assert found.keys() == expected.keys() and len(found) >= 8
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table, rtol=1e-9, atol=1e-12)
    pictures = [only(one.folder, "figures/quick-*/contraction.png") for one in (small_once, bare)]
    one, other = (plt.imread(picture) for picture in pictures)
    assert one.shape == other.shape and abs(one - other).max() < 0.02
    bare.edit("config/experiment/contraction.yaml", "&stable [0.005", "&stable [0.006")
    due = explained(bare, ("explain", "contraction", "--scale", "quick", *TINY), own)
    assert "its settings changed" in due and "instances" not in due


def test_what_hides_nothing_is_found_in_a_folder_that_hides_something(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise ImportError('the user's')\n")
    (tmp_path / "optimizer_of_mine.py").write_text("import random\nprint(random.Random)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONINSPECT", "1")  # then Python stays, and ends as one that failed
    code = "import random, layerwise, optimizer_of_mine, sys; sys.exit()"
    subprocess.run([sys.executable, "-c", code], env=_environment(), check=True)


def explained(checkout: Checkout, words: Sequence[str], environment: Mapping[str, str]) -> str:
    """What `layerwise explain` says in a changed environment."""
    done = subprocess.run(
        [sys.executable, "-m", "layerwise_command", *words], cwd=checkout.folder, encoding="latin-1",
        capture_output=True, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
