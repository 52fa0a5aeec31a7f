"""One meaning, one folder: what overrides come to names the folder, whatever their spelling."""

import pytest

from layerwise.planning.identity import results_label
from layerwise.planning.pipeline import Pipeline
from layerwise.planning.plan import plan
from layerwise.planning.request import Request
from layerwise.settings.validation import ConfigError

# Spellings of an override of "contraction" which plan the same jobs.
SAME = [
    ("task.kappa_x=[1,50]", "task.kappa_x=[1.0,5e1]", "task.kappa_x=[1,50.]"),
    ("task.kappa_x=[50]", "task.kappa_x=50", "task.kappa_x=5_0.0"),
    ("task.d_x=[50]", "task.d_x=50", "+task.d_x=50"),
    ("task.noise=0.02", "task.noise=2e-2", "task.noise=.02"),
    ("task.basis=axis", "task.basis='axis'", 'task.basis="axis"'),
    ("method.kfac.lr=[0.4]", "method.kfac.lr=0.4", "methods.kfac.lr=[ 0.40 ]"),
    ("method.kfac.damping=1", "method.kfac.damping=[1.0]", "method.kfac={damping: 1}"),
    ("method.kfac.options.lr_head=1", "method.kfac.options.lr_head=1.0"),
    ("task.kappa_x=[1,50]", "task.kappa_x=[1,50,1,50.0]"),
    ("seeds=5", "seeds=[0,1,2,3,4]", "+seeds=5", "seeds=5.0", "seeds=[0,1.0,2,3,4e0]"),
    ("steps=1_500", "steps=1500", "++steps=1500", "steps=1.5e3"),
    ("record_every=2", "record_every=2.0"),
    ("experiment.target=0.3", "experiment.target=3e-1"),
    ("+method=soap", "+method='soap'"),
]


def label(
    *words: str, experiments: tuple[str, ...] = ("contraction",), scale: str = "paper"
) -> str:
    return Request(experiments, scale, words).label


def contents(word: str, scale: str) -> list[str]:
    return [job.content for job in plan("contraction", scale, [word]).jobs().values()]


@pytest.mark.parametrize("scale", ["paper", "quick"])
@pytest.mark.parametrize("words", SAME, ids=[words[0] for words in SAME])
def test_spellings_of_an_override_plan_the_same_into_the_same_folder(words, scale):
    assert len({label(word, scale=scale) for word in words}) == 1
    assert len({results_label(scale, [word]) for word in words}) == 1
    first, *others = (contents(word, scale) for word in words)
    assert all(other == first for other in others)
    assert label(words[0], scale=scale) != label(scale=scale)


def test_other_values_and_types_are_other_folders():
    words = (
        "seeds=3", "seeds=[0,1,3]", "task.kappa_x=[1,50]", "task.kappa_x=[50,1]", "task.kappa_x=50",
        "steps=50",
        "task.metrics=[subspace_distance]", "method.kfac.lr=[0.4]", "method.sgd.lr=[0.4]",
    )  # fmt: skip
    assert len({results_label("paper", [word]) for word in words}) == len(words)


@pytest.mark.parametrize(
    "words",
    [
        ("task.noise=0",), ("task.kappa_x=[1,10,100]",), ("tune_seeds=8", "device=cpu"), ("+method=kfac",),
        ("task=linear_representation", "steps=1000"),
        ("method.sgd.lr=[0.005,0.01,0.02,0.05,0.1,0.15,0.2]",),
    ],
)  # fmt: skip
def test_overrides_that_change_nothing_have_the_folder_without_overrides(words):
    assert label(*words) == ""


@pytest.mark.parametrize("idle", ["task.kappa_x=[1,10,100]", "task.kappa_f=[1,10]", "task.noise=0"])
def test_a_part_that_changes_nothing_is_no_part_of_a_folders_name(idle):
    """Neither of that of the figures, nor of that of the runs."""
    alone, beside = (Pipeline(Request(("contraction",), "paper", words))
                     for words in (("seeds=5",), ("seeds=5", idle)))  # fmt: skip
    assert alone.label == beside.label and alone.overrides == beside.overrides
    assert jobs(("contraction",), "seeds=5") == jobs(("contraction",), "seeds=5", idle)


def test_a_part_that_changes_another_experiment_is_a_part_of_the_name():
    both = ("contraction", "sample_size")
    words = ("seeds=5", "task.kappa_x=[1,10,100]")  # contraction's own
    assert label(*words, experiments=both) != label("seeds=5", experiments=both)
    assert jobs(both, *words) == jobs(("contraction",), "seeds=5")


@pytest.mark.parametrize("word", ["out=x.parquet", "instances=x.npz"])
def test_a_file_of_a_single_run_is_refused(word):
    """The pipeline would go on without it."""
    with pytest.raises(ConfigError, match=r"is not allowed as an override: .*results/"):
        label(word)


def test_what_a_scale_would_cap_is_an_override_though_it_says_what_the_experiment_says():
    """At the quick scale an experiment's own number of steps is more than are run without it."""
    assert label("steps=1000", scale="quick") != label(scale="quick")
    assert plan("contraction", "quick", ["steps=1000"]).cells[0].settings.steps == 1000


def jobs(experiments: tuple[str, ...], *words: str) -> dict[str, str]:
    """Where the tables of contraction lie, by the digests of what they are of."""
    pipeline = Pipeline(Request(experiments, "paper", words))
    return {placed.job.digest: placed.table for placed in pipeline.jobs["contraction"]}


@pytest.mark.parametrize("words", [("seeds=5",), ("seeds=5", "task.noise=0"), ("task.noise=0",)])
def test_a_request_for_one_and_one_for_more_find_each_others_runs(words):
    """Also where a part of the overrides changes the other experiments alone."""
    assert jobs(("contraction",), *words) == jobs(("contraction", "basis"), *words)


def test_what_is_made_of_runs_is_no_reason_to_run_them_elsewhere():
    runs = jobs(("contraction",), "seeds=5")
    again = jobs(("contraction",), "seeds=5", "experiment.caption=C", "method.sgd.label=GD")
    assert again == runs
    assert label("seeds=5") != label("seeds=5", "experiment.caption=C")


@pytest.mark.parametrize(
    "words",
    [("seeds=4", "task.kappa_x=[1,2.5]", "+method=soap", "task.basis='axis'", "stop_at=null",
      "method.kfac.options={lr_head: 0.5}", "experiment.caption='a, \\'b\\' = c'", "dtype=float32")],
)  # fmt: skip
def test_a_folder_says_its_overrides_in_words_that_mean_the_same(words):
    pipeline = Pipeline(Request(("contraction",), "paper", words))
    again = Request(("contraction",), "paper", tuple(pipeline.overrides))
    assert again.label == pipeline.label
    assert Pipeline(again).overrides == pipeline.overrides
    assert not any(word.startswith("+steps") for word in pipeline.overrides)


def test_a_list_of_one_is_that_value_also_where_lists_are_no_axis():
    assert contents("task.noise=[0.5]", "paper") == contents("task.noise=0.5", "paper")
    with pytest.raises(ConfigError, match="allowed is one value"):
        plan("contraction", "paper", ["task.noise=[0.5,1]"])


def test_a_single_step_size_that_is_always_reported_is_a_list_of_one():
    one, listed = (
        plan("condition_study", "quick", [f"method.kfac.fixed_lr={value}"]).cells
        for value in ("0.1", "[0.1]")
    )
    assert one == listed


def test_a_number_of_an_option_is_of_the_kind_that_it_replaces():
    """So that it is no other job's: soap's weight decay is 0.0 in its file."""
    zeros = [(f"method.soap.options.weight_decay={zero}",) for zero in ("0", "0.0")]
    standing, *others = (
        [one.job.digest for one in Pipeline(request).jobs["modern_optimizers"]]
        for request in (Request(("modern_optimizers",), "quick", words) for words in ((), *zeros))
    )
    assert others == [standing, standing]
