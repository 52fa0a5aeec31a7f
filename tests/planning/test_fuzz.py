"""Overrides made at random, hostile ones among them: settings or one sentence, and nothing else."""

import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.planning.compose import GROUPS, compose_config, options, paths_of, settings_of
from layerwise.planning.identity import results_label
from layerwise.planning.plan import ExperimentPlan, plan
from layerwise.results.tables import read_table
from layerwise.settings.run import RunSettings
from layerwise.settings.validation import ConfigError
from layerwise.tasks.run import run_cell

KEYS = (
    "task.d_x", "task.d_y", "task.rank", "task.kappa_x", "task.kappa_f", "task.spectrum", "task.basis",
    "task.inputs", "task.batch_size", "task.noise", "task.n_transfer", "task.transfer_kappa_x", "task.d",
    "task.width", "task.name", "method.name", "method.rule", "method.lr", "method.damping",
    "method.takes_damping", "method.options", "method.options.beta1", "method.options.optimizer",
    "method.network", "engine", "seeds", "steps", "stop_at", "record_every", "dtype", "device",
    "optimizer_packages", "instances", "out", "task", "method", "experiment", "scale", "hydra/launcher",
    "hydra.run.dir", "hydra.sweeper", "_target_", "task._target_", "", ".", "task.", "task..d_x",
    "task.d_x.more", "ключ", "a b", "__class__", "task.__class__", "method@task", "task@:x", "hydra",
)  # fmt: skip
VALUES = (
    "0", "1", "2", "3", "7", "-1", "1e-300", "1e30", "1e400", "0.5", "nan", "inf", "-inf", "true", "null",
    "''", "[]", "[1]", "[1,2]", "[[1]]", "[0.1,-1]", "[null]", "{}", "{a:1}", "{a:{b:[1]}}", "log", "axis",
    "gaussian", "rademacher", "float32", "batches", "'1'", "\"'\"", "é", "\u202e", "\0", "\n", "a\nb",
    "99999999999999999999", "0x10", "1_000", "!!python/object:os.system", "!!python/name:os.system",
    "'!!python/object/apply:os.system [touch hacked]'", "os.system", "torch.load", "torch.optim.Adam",
    "torch.optim.lr_scheduler.LambdaLR", "${oc.env:LAYERWISE_SECRET}", "'${oc.env:LAYERWISE_SECRET}'",
    "${oc.decode:'1'}", "${task.rank}", "${nothing}", "${task", "${hydra:runtime.cwd}", "../../etc/passwd",
    "/etc/passwd", "../out.parquet", "out.csv", "range(1,3)", "choice(1,2)", "1,2", "glob(*)",
    "interval(0,1)", "shuffle(1,2)", "int(2.5)", "submitit", "basic", "joblib", "$(touch hacked)",
    "`touch hacked`", "; touch hacked", "x" * 2000,
)  # fmt: skip
# Beside those of a run, what the pipeline's overrides are made of.
PIPELINE_KEYS = (
    "experiment", "experiment.methods", "experiment.select_by", "experiment.target", "experiment.figures",
    "experiment.problems", "experiment.caption", "experiment.name", "scale", "scale.max_steps",
    "scale.lr_points", "scale.axis_points", "scale.entries", "method.kfac", "method.kfac.lr",
    "method.kfac.damping", "method.kfac.label", "method.kfac.options", "method.sgd.rule", "methods",
    "methods.sgd.lr", "method.nothing.lr", "method.sgd.options.optimizer",
)  # fmt: skip
PIPELINE_VALUES = (
    "kfac", "[kfac]", "[sgd,kfac]", "[sgd,sgd]", "[{kappa_x:[1,2]}]", "[{kappa_x:1,nothing:2}]", "[{}]",
    "{kappa_x:3}", "../../x", "[../x]", "[kfac,../../x]", "nothing", "subspace_distance", "contraction",
    "[contraction]", "{rule}", "'{0}'", "'{rule.__class__}'",
)  # fmt: skip
SECRET = "not for any message"
# Values at and within the bounds of their keys, of which each may be combined with each other.
ALLOWED = {
    "method": options("method"),
    "method.lr": ["1e-300", "0.1", "[0.01,1]", "1e30"],
    "task.kappa_x": ["1", "37.5", "1e6"],
    "task.kappa_f": ["1", "1e6"],
    "task.transfer_kappa_x": ["null", "1", "1e6"],
    "task.spectrum": ["log", "two_level", "power_law"],
    "task.basis": ["rotated", "axis"],
    "task.noise": ["0", "0.1", "1e6"],
    "task.batch_size": ["8", "9", "64"],
    "task.n_transfer": ["3", "200"],
    "engine": ["moments", "batches"],
    "seeds": ["1", "[5,2]"],
    "steps": ["0", "1", "4"],
    "stop_at": ["null", "1e-9", "1e9"],
    "record_every": ["1", "3", "100", "log"],
    "dtype": ["float32", "float64"],
}
SIZES = ("task.d_x=6", "task.d_y=5", "task.rank=2")


def overrides(rng: random.Random) -> list[str]:
    """One to four words, mostly of the form key=value."""
    words = []
    for _ in range(rng.randint(1, 4)):
        prefix = rng.choices(("", "+", "++", "~", "+~"), (12, 1, 2, 1, 1))[0]
        if rng.random() < 0.15:
            group = rng.choice(GROUPS)
            word = f"{prefix}{group}={rng.choice(options(group))}"
        else:
            word = f"{prefix}{rng.choice(KEYS)}{rng.choices(('=', '', '=='), (20, 1, 1))[0]}"
            word += rng.choice(VALUES)
        words.append(word)
    return words


def outcome(words: list[str]) -> RunSettings | str:
    """The settings, or the refusal's sentence, checked."""
    try:
        config = compose_config(words)
        settings = settings_of(config)
        paths_of(config)
    except ConfigError as error:
        sentence = str(error)
        assert sentence and sentence.isprintable() and len(sentence) < 4000, words
        assert SECRET not in sentence, words
        return sentence
    assert SECRET not in settings.model_dump_json(), words
    return settings


def runs(settings: RunSettings, folder: Path) -> None:
    """Accepted settings run, here for two steps of a seed: to a table, or to a refusal once sizes are
    known."""
    short = {"steps": min(settings.steps, 2), "seeds": settings.seeds[:1]}
    out = folder / "run.parquet"
    try:
        run_cell(settings.model_copy(update=short), None, out)
    except ConfigError:
        assert list(folder.iterdir()) == []
        return
    assert len(read_table(out))
    for path in folder.iterdir():
        path.unlink()


def fuzz(seed: int, cases: int, folder: Path) -> None:
    """Every case has an answer, and both kinds occur."""
    rng = random.Random(seed)
    answers = set()
    for _ in range(cases):
        answer = outcome(overrides(rng))
        answers.add(type(answer))
        assert list(folder.iterdir()) == []
        if isinstance(answer, RunSettings):
            runs(answer, folder)
    assert answers == {RunSettings, str}


def pipeline_overrides(rng: random.Random) -> list[str]:
    """One to three words, of which some add a method."""
    words = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.15:
            words.append(f"+method={rng.choice([*options('method'), 'nope', '../x'])}")
        else:
            prefix = rng.choices(("", "+", "++", "~"), (28, 2, 2, 1))[0]
            key = rng.choice(KEYS + 3 * PIPELINE_KEYS)
            words.append(f"{prefix}{key}={rng.choice(VALUES + 3 * PIPELINE_VALUES)}")
    return words


def planned(words: list[str], experiment: str, scale: str) -> ExperimentPlan | str:
    """The plan with overrides, or the refusal's sentence, checked."""
    try:
        one = plan(experiment, scale, words)
    except ConfigError as error:
        sentence = str(error)
        assert sentence and sentence.isprintable() and len(sentence) < 4000, words
        assert SECRET not in sentence, words
        return sentence
    assert re.fullmatch(r"/quick(-[0-9a-f]{8})?", results_label("quick", words))
    text = one.summary + "".join(job.text + "".join(job.instances) for job in one.jobs(16).values())
    assert SECRET not in text, words
    return one


def fuzz_pipeline(seed: int, cases: int, folder: Path) -> None:
    """Every case has an answer, and both kinds occur."""
    rng = random.Random(seed)
    answers = set()
    for _ in range(cases):
        where = rng.choice(options("experiment")), rng.choice(["quick", "paper"])
        answer = planned(pipeline_overrides(rng), *where)
        answers.add(type(answer))
        assert list(folder.iterdir()) == []
        if isinstance(answer, ExperimentPlan):
            runs(rng.choice(answer.cells).settings, folder)
    assert answers == {ExperimentPlan, str}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory of its own, in which nothing may appear, and an environment with a secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERWISE_SECRET", SECRET)
    return tmp_path


def test_random_overrides_are_accepted_or_refused(folder):
    fuzz(0, 300, folder)


def test_random_overrides_of_the_pipeline_are_planned_or_refused(folder):
    fuzz_pipeline(0, 300, folder)


@pytest.mark.slow
def test_many_random_overrides_of_the_pipeline_are_planned_or_refused(folder):
    fuzz_pipeline(1, 10_000, folder)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("method.kfac=submitit", "it stands for several keys, such as method.kfac."),
        ("++methods='x'", "it stands for several keys, such as method."),
        ("experiment.methods=[null]", "experiment.methods = None is not allowed"),
        ("experiment.methods=1e-300", "experiment.methods = 1e-300 is not allowed"),
        ("experiment.methods=[kfac,../../x]", "method = '../../x' is unknown"),
        ("method.kfac.label=[1]", "method.kfac.label = [1] is not allowed: allowed is text"),
        ("+method=../x", "method = '../x' is unknown"),
        ("experiment.methods=[sgd,sgd]", "experiment.methods = ['sgd', 'sgd'] is not allowed"),
        ("experiment.name=../../x", "allowed is its file's name, 'contraction'"),
        ("experiment.figures=[contracton]", "is unknown, did you mean 'contraction'?"),
        (
            "experiment.select_by=validation_error",
            "is not allowed with task = 'linear_representation'",
        ),
        ("experiment.problems=[{kappa_x:[]}]", "kappa_x = [] is not allowed: at least one value"),
        ("task.kappa_x=[]", "task.kappa_x = [] is not allowed: at least one value is needed"),
        ("experiment.target=null", "experiment.target = None is not allowed with task ="),
        ("task.d_x=99999999999999999999", "task.d_x = 99999999999999999999 is not allowed"),
        ("seeds=[99999999999999999999]", "seeds = 99999999999999999999 is not allowed"),
        ("task=nothing", "task = 'nothing' is unknown"),
        ("method.kfac.rule=os.system", "there is no such class in methods/os.py"),
        ("method.kfac.rule=kfac.Average", "there is no such class in methods/kfac.py"),
        ("method.kfac.rule=amgd.AGMD", "did you mean 'amgd.AMGD'?"),
        ("+method.sgd.options={beta:1}", "'sgd.SGD': allowed are freeze_others"),
        (
            "method.kfac.rule=adam.Adam method.kfac.damping=[0.1]",
            "method.kfac.damping = [0.1] is not allowed: kfac has no damping, leave []",
        ),
        (
            "method.kfac.rule=adam.Adam method.kfac.damping=[]",
            "= 'adam.Adam': allowed are beta1, beta2, epsilon",
        ),
    ],
)
def test_overrides_that_planning_stumbled_over_are_answered(words, sentence):
    assert sentence in planned(words.split(), "contraction", "quick")


def test_a_caption_is_text_and_no_format():
    """A reference to nothing in a name does not stand in the way of another key's refusal either."""
    assert "{0}" in planned(["experiment.caption='{0}'"], "contraction", "quick").summary
    refused = planned(["experiment.name=${task.rank}", "task.d_y={a:1}"], "spike", "quick")
    assert "task.d_y = " in refused and "there is no such key" in refused


@pytest.mark.slow
def test_many_random_overrides_are_accepted_or_refused(folder):
    fuzz(1, 10_000, folder)


@pytest.mark.parametrize(
    "word",
    [
        "hydra=choice(1,2)",
        "task=0.5",
        "~method@task=int(2.5)",
        "hydra/launcher=[1,2]",
        "+=/etc/passwd",
        "task.transfer_kappa_x=${nothing}",
        "task.d_x=\0",
        "+method.options=" + 2000 * "x",
        "hydra/launcher=submitit",
        "task.spectrum=${oc.env:LAYERWISE_SECRET}",
        "+method@task='${oc.env:LAYERWISE_SECRET}'",
        "hydra.sweeper='${oc.env:LAYERWISE_SECRET}'",
        "hydra.searchpath=[/tmp]",
        "~method",
        "method=null",
        "task=null",
        "~method.label",
        "~instances",
        "~out",
        "seeds=99999999999999999999",
        "instances=" + "x" * 2000,
        "out=" + "x" * 2000 + ".parquet",
    ],
)
def test_overrides_that_hydra_stumbles_over_are_answered(word):
    """Found by the test above, or near to what it found."""
    outcome([word])


@pytest.mark.parametrize("seed", range(20))
def test_accepted_overrides_run(folder, seed):
    """Combinations of allowed values: a table with finite metrics wherever it says ok, or a refusal."""
    rng = random.Random(seed)
    words = [f"{key}={rng.choice(values)}" for key, values in ALLOWED.items()]
    settings = outcome([*SIZES, *words])
    if isinstance(
        settings, str
    ):  # the whole of it does not fit: damping 0 is in some methods' files
        assert "is not allowed" in settings
        return
    run_cell(settings, None, folder / "run.parquet")
    table = pd.read_parquet(folder / "run.parquet")
    ok = table["status"] == "ok"
    assert np.isfinite(table.loc[ok, settings.task.metrics].to_numpy(dtype=float)).all()
