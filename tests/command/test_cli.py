"""The `layerwise` command: what it lists, explains, refuses and runs, on copies of the project."""

import io
import json
import os
import re
import signal
import sys

import pandas as pd
import pytest

from checkout import QUICK_EXPERIMENTS, TINY, Checkout, layerwise, only, start, wait_for
from helpers import assert_close, population, random_batch, random_weights
from layerwise import __version__, cli
from layerwise.command.templates.rule import NewRule
from layerwise.data.moments import Moments
from layerwise.methods.base import steps_of
from layerwise.networks.linear import NETWORKS
from layerwise.planning.compose import options

QUICK = ("contraction", "--scale", "quick")


def in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Exit code and what is said on both streams, of a command that starts no Snakemake."""
    monkeypatch.setattr(sys, "argv", ["layerwise", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), *capsys.readouterr()


@pytest.fixture(scope="module")
def checkout(quick_once: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the project in which an experiment was reproduced at the quick scale."""
    return Checkout(tmp_path_factory.mktemp("command"), quick_once)


def test_list_has_a_line_on_everything(monkeypatch, capsys):
    code, listed, _ = in_process(monkeypatch, capsys, "list")
    assert code == 0
    for group in ("experiment", "method", "task", "scale"):
        for name in options(group):
            assert re.search(rf"^  {name} +\S+ ", listed, re.MULTILINE), name
    assert re.search(
        r"^  contraction +Measured against predicted contraction", listed, re.MULTILINE
    )
    assert not re.search(r"^  style ", listed, re.MULTILINE)


def test_it_says_its_version(monkeypatch, capsys):
    assert in_process(monkeypatch, capsys, "--version") == (0, f"layerwise {__version__}\n", "")


def test_a_shell_completes_commands_and_options(monkeypatch, capsys):
    """As the script that --install-completion writes for bash asks for it."""
    monkeypatch.setenv("_LAYERWISE_COMPLETE", "complete_bash")
    for typed, completed in (
        ("layerwise rep", "reproduce"),
        ("layerwise reproduce --sc", "--scale"),
    ):
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
        assert in_process(monkeypatch, capsys) == (0, f"{completed}\n", "")


def test_letters_that_a_terminal_lacks_are_escaped(monkeypatch):
    """Rather than end the command with a traceback."""
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    monkeypatch.setattr(sys, "argv", ["layerwise", "list", "λ"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    sys.stderr.flush()
    assert ended.value.code == 2
    assert rb"error: kind = '\u03bb' is unknown" in sys.stderr.buffer.getvalue()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("list experimants", "did you mean 'experiments'?"),
        ("reproduce contracton", "experiment = 'contracton' is unknown, did you mean 'contraction'?"),
        ("reproduce contraction --scale quik", "scale = 'quik' is unknown, did you mean 'quick'?"),
        ("reproduce task.kapa_x=3", "there is no such key, did you mean 'task.kappa_x'?"),
        ("reproduce contraction method.kfacc.lr=[1]", "method = 'kfacc' is unknown, did you mean 'kfac'?"),
        ("reproduce contraction +method=soaap", "method = 'soaap' is unknown, did you mean 'soap'?"),
        ("reproduce contraction method.kfac.lr=[-1]", "method.kfac.lr = -1 is not allowed"),
        ("reproduce contraction method.adam.lr=[1]", "the method is in none of the experiments"),
        ("reproduce one_step_alignment +method=dfw", "dfw needs a linear hidden layer, which this network"),
        ("reproduce contraction method=kfac", "method = kfac is not allowed as an override"),
        ("reproduce contraction seeds=3 seeds=4", "seeds is set by more than one override"),
        ("reproduce contraction seeds=1,2", "written in brackets, as in seeds=[1,2]"),
        ("reproduce contraction +method=soap method.soap.options.optimizer=torch.optim.LBFGS",
         "is not allowed: torch.optim.LBFGS takes max_iter"),
        ("explain contraction task.noise=[0,0.1]", "task.noise = [0, 0.1] is not allowed: allowed is one"),
        ("reproduce contraction -- --configfile my.yaml", "--configfile is not allowed"),
        ("new-method kfac", "the name 'kfac' is not allowed: there is a method"),
        ("new-method base", "the name 'base' is not allowed: there is a method or a rule"),
        ("new-method my-rule", "the name 'my-rule' is not allowed: allowed are Python's identifiers"),
        ("new-method lambda", "the name 'lambda' is not allowed"),
        ("new-method mine --optimizer torch.optim.SDG", "did you mean 'SGD'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_one_sentence(
    monkeypatch, capsys, tmp_path, words, sentence
):
    """Exit code 2, before any job and without any file."""
    monkeypatch.setattr("layerwise.command.snakemake.PROJECT", tmp_path)
    monkeypatch.setattr("layerwise.command.scaffold.CONFIG_DIR", tmp_path)
    code, said, error = in_process(monkeypatch, capsys, *words.split())
    assert code == 2 and said == ""
    assert error.startswith("error: ") and error.count("\n") == 1
    assert sentence in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_an_override_reruns_what_it_affects_beside_the_rest(checkout: Checkout) -> None:
    """Explained first; then everything else is that of the unchanged experiment; any order and
    spelling of the overrides is the same set."""
    words = ("method.kfac.damping=[0.1, 1]", "experiment.caption=C")
    said = layerwise(checkout, "explain", *QUICK, *words)
    assert re.search(r"1  simulate contraction +it was not run yet  kfac-0\n", said)
    assert "sgd" not in said.partition("Due:")[2]
    assert re.search(r"Time: about \d+ s on \d+ cores?,.* by earlier runs", said)  # without damping
    layerwise(checkout, "reproduce", *QUICK, *words)
    before = checkout.folder / "results/quick/contraction"
    plan = only(checkout.folder, "results/quick-*/contraction/plan.json")
    # The caption changes what is made of runs, and not these: they lie with those of the damping alone.
    own_runs = only(checkout.folder, "results/quick-*/contraction/runs")
    assert own_runs.parent != plan.parent
    assert [path.name for path in own_runs.glob("*.parquet")] == ["kfac-0.parquet"]
    assert not list(own_runs.parent.glob("instances/*"))
    tables = {job["table"] for job in json.loads(plan.read_text())["jobs"]}
    own, standing = (str(path.relative_to(checkout.folder)) for path in (own_runs, before / "runs"))
    assert tables == {f"{standing}/sgd-0.parquet", f"{own}/kfac-0.parquet"}
    drawn = pd.read_csv(only(checkout.folder, "figures/quick-*/contraction.csv"))
    assert set(drawn.loc[drawn["method"] == "kfac", "damping"]) == {0.1, 1}
    assert set(drawn["method"]) == {"sgd", "kfac"}
    again = ("experiment.caption=C", "methods.kfac.damping=[0.1,1]")
    assert "Nothing is due" in layerwise(checkout, "explain", *again, *QUICK)


@pytest.mark.processes
def test_explain_says_what_an_experiment_is(checkout: Checkout) -> None:
    """Problems, grids and sizes of the quick scale. Nothing is due, whatever overrides were run."""
    said = layerwise(checkout, "explain", *QUICK_EXPERIMENTS, "--scale", "quick")
    assert "problems   2: kappa_x = 1, 100; kappa_f = 1\n" in said
    assert re.search(r"sgd +lr 0.005, 0.05, 0.2\n", said)
    assert re.search(r"kfac +lr 0.05, 0.3, 0.9; damping 0;", said)
    assert "selection  the smallest subspace distance at the last iteration\n" in said
    assert "2 seeds, 20 steps" in said
    assert (
        "4 cells, 24 runs, 2 simulation jobs" in said
    )  # 2 problems, 2 methods, 2 seeds, 3 step sizes
    assert "Nothing is due" in said and "Time: none" in said


@pytest.mark.processes
def test_snakemake_gets_its_options_and_says_its_exit_code(checkout: Checkout) -> None:
    said = layerwise(checkout, "reproduce", *QUICK, "seeds=3", "--", "--dry-run")
    assert "This was a dry-run" in said and "rule simulate:" in said and "reuse" not in said
    assert "MissingRuleException" in layerwise(
        checkout, "reproduce", *QUICK, "--", "no_such_file", code=1
    )


@pytest.mark.processes
def test_an_interrupt_stops_the_jobs_and_the_same_command_goes_on(checkout: Checkout) -> None:
    words = ("reproduce", *QUICK, *TINY[2:], "steps=2000", "experiment.methods=[kfac]")
    process = start(checkout, *words, "--", "--until", "simulate")
    folder = re.search(r"results/[\w-]+", process.stdout.readline())[0]
    runs = checkout.folder / folder / "contraction"
    wait_for(runs / "logs/kfac-0.log", process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in said
    assert not list(runs.glob("runs/*"))
    assert not list(checkout.folder.glob(".snakemake/locks/*"))
    drawn = (runs / "instances/0.npz").stat().st_mtime_ns
    layerwise(checkout, *words, "--", "--until", "simulate")
    assert (runs / "runs/kfac-0.parquet").is_file()
    assert (runs / "instances/0.npz").stat().st_mtime_ns == drawn


def test_the_rule_to_start_from_is_gradient_descent():
    of = population()
    weights, batch = random_weights(of, 2), Moments.of_batch(*random_batch(of, 20, seed=0))
    view = NETWORKS["plain"](of).view(weights, batch)
    steps = steps_of([0.1, 0.3], [], [1.0, 1.0], weights.features)
    rule = NewRule(steps)
    stepped, _ = rule.step([view], rule.start(weights))
    for new, old, lr, gradient in zip(stepped, weights, steps.lr, view.gradients, strict=True):
        assert_close(new, old - lr * gradient)
