"""Refusals that tell what to type: quotes, the nearest name of each kind, and the largest size."""

import pytest

from layerwise.command.catalogue import KINDS, catalogue
from layerwise.planning.compose import compose_config, paths_of, settings_of
from layerwise.planning.plan import plan
from layerwise.settings.memory import MAX_CELL_GB
from layerwise.settings.validation import ConfigError
from layerwise.simulate import refuse_sweeps

PATHS = [
    "lr=0.1/run.parquet",
    "Größe/α.parquet",
    "run@2#b.csv",
    "{a}/[b].parquet",
    "Anna's.parquet",
]


def refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as refused:
        compose_config(list(words))
    return str(refused.value)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_needs_quotes_is_refused_with_the_words_that_work(path):
    said = refusal(f"out={path}")
    typed = said.partition('type "')[2].removesuffix('"')
    assert "quotes of its own" in said
    assert str(paths_of(compose_config([typed]))[0]) == path


def test_quotes_are_not_proposed_where_they_would_not_help_or_the_shell_reads_them():
    assert "type" not in refusal("a b c") and "type" not in refusal('out="$HOME=1')


def test_a_bracket_that_is_not_closed_needs_no_quotes():
    assert refusal("seeds=[1,2").endswith("its [ and ] do not belong together")


@pytest.mark.parametrize("text", ["seeds=4 steps=10", "seeds=4,steps=10", "seeds=4, steps=10"])
def test_two_overrides_in_one_text_are_told_apart(text):
    assert refusal(text).endswith("steps= begins another one, which is a word of its own")


def test_the_home_is_no_folder_of_that_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths_of(compose_config(["out='~/run.parquet'"]))[0] == tmp_path / "run.parquet"


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("kfac", "experiment = 'kfac' is unknown, it is a method: +method=kfac adds it"),
        ("exponents", "it is a figure that condition_study draws"),
        ("head_to_hed", "did you mean 'head_to_head'?"),
        ("exponent", "did you mean 'exponents'?"),
        ("spectrall", "did you mean 'spectral'?"),
    ],
)
def test_a_word_that_is_no_experiment_is_told_apart(word, sentence):
    with pytest.raises(ConfigError) as refused:
        plan(word, "paper")
    assert sentence in str(refused.value)


def test_capitals_are_no_reason_to_find_nothing_near():
    assert "did you mean 'kfac'?" in refusal("method=KFAC")


def test_an_address_is_no_file():
    with pytest.raises(ConfigError, match="s3://a/b.parquet' is not allowed: allowed are files"):
        paths_of(compose_config(["out=s3://a/b.parquet"]))


@pytest.mark.parametrize(
    ("word", "key"), [("kappa_x=3", "task.kappa_x"), ("damping=1", "method.damping")]
)
def test_a_keys_last_word_is_answered_with_the_key(word, key):
    assert f"did you mean '{key}'?" in refusal(word, "method=kfac")


MODES = ("MULTIRUN", "'MULTIRUN'", "RunMode.MULTIRUN", "2")


@pytest.mark.parametrize(
    "word",
    ["--multirun", "-m", "--multi", "hydra={mode: MULTIRUN}", *(f"hydra.mode={m}" for m in MODES)],
)
def test_sweeps_of_hydra_are_refused_before_they_write(word):
    with pytest.raises(
        ConfigError, match="is not allowed: the runs of Hydra's --multirun would write one"
    ):
        refuse_sweeps(["method=kfac", word, "task.kappa_x=1,2"])


@pytest.mark.parametrize("word", ["--cfg", "job", "method=kfac", "--info", "-c", "hydra.verbose=2"])
def test_other_words_are_no_sweep(word):
    refuse_sweeps([word])


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (("seeds=100000",), False),
        (("seeds=20000", "steps=1"), True),
        (("task.d_x=20000", "seeds=1"), True),
    ],
)
def test_what_would_not_fit_into_memory_is_refused_with_the_largest_that_does(words, fits):
    config = compose_config(["method=sgd", *words])
    if fits:
        settings_of(config)
        return
    with pytest.raises(ConfigError) as refused:
        settings_of(config)
    said = str(refused.value)
    assert f"{MAX_CELL_GB} GB are allowed" in said
    largest = int(said.partition("at most ")[2].partition(" seeds")[0])
    assert len(settings_of(compose_config(["method=sgd", f"seeds={largest}"])).seeds) == largest
    with pytest.raises(ConfigError):
        settings_of(compose_config(["method=sgd", f"seeds={round(largest * 1.01)}"]))


def test_a_job_of_many_seeds_holds_fewer_cells():
    """So that its tables fit beside each other; each cell is still run once."""
    few, many = (plan("contraction", "paper", [f"seeds={n}"]) for n in (16, 3000))
    parts = many.jobs()
    assert len(few.jobs()) == 2 < len(parts)
    assert sum(len(job.cells) for job in parts.values()) == len(many.cells)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_listed_are_whole_sentences(kind):
    for name, line in catalogue(kind).items():
        assert line.endswith((".", "?", "!", ".)")), name


def test_a_sentence_that_goes_on_in_the_next_line_is_not_cut(tmp_path):
    heading = "# A rule of mine, which takes\n# two lines.\n# And more.\nname: mine\n"
    (tmp_path / "mine.yaml").write_text(heading)
    said = catalogue("methods", [str(tmp_path)])["mine"]
    assert said == "A rule of mine, which takes two lines."
