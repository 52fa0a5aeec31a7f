"""Students from settings to their table: seeds alone or together, fixed samples, what is refused."""

import pandas as pd
import pytest

from helpers import composed, table_alone
from layerwise.settings.validation import ConfigError
from layerwise.tasks import blocks, digits, teacher_student
from students import SMALL

SMALL_DIGITS = ("task=digits", "task.width=6", "task.batch_size=50", "task.components=10")
TASKS = {
    "teacher_student": (teacher_student, SMALL),
    "digits": (digits, SMALL_DIGITS),
}


def table(task: str, *words: str) -> pd.DataFrame:
    """The table of a small run of two recorded steps."""
    module, small = TASKS[task]
    settings = composed(*small, "steps=4", "record_every=2", "dtype=float64", *words)
    return table_alone(module, settings)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", ["kfac", "bn_hidden_adam"])
def test_a_seeds_numbers_do_not_depend_on_the_others(task, method, monkeypatch):
    """Alone, beside another, and in blocks of one."""
    words = [f"method={method}", "method.lr=[0.01,0.1]"]
    words += ["method.damping=[0.01]"] if method == "kfac" else []
    together = table(task, *words, "seeds=[3,5]")
    for seed in (3, 5):
        alone = table(task, *words, f"seeds=[{seed}]")
        own = together[together["seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone, rtol=1e-9)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    pd.testing.assert_frame_equal(table(task, *words, "seeds=[3,5]"), together, rtol=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_that_diverges_is_recorded_and_its_neighbour_is_not_touched(task):
    both = table(task, "method=sgd", "method.lr=[0.01,1e9]", "seeds=1")
    alone = table(task, "method=sgd", "method.lr=[0.01]", "seeds=1")
    lost = both[both["lr"] == 1e9]
    assert lost["diverged_at"].notna().all() and set(lost["status"]) == {"ok", "diverged"}
    assert lost.loc[lost["status"] == "diverged", "test_error"].isna().all()
    own = both[both["lr"] == 0.01].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone, rtol=1e-9)


def test_training_learns_and_more_samples_teach_more():
    words = (
        "task.depth=1",
        "steps=60",
        "record_every=60",
        "method=adam",
        "method.lr=[0.03]",
        "seeds=2",
    )
    errors = {
        n: table("teacher_student", *words, f"task.n_train={n}").query("step == 60")["test_error"]
        for n in (24, 2000)
    }
    assert errors[2000].max() < 0.5 < errors[24].min()
    labels = table("digits", "steps=60", "record_every=60", *words[3:])
    first, last = (labels[labels["step"] == step]["test_error"] for step in (0, 60))
    assert first.min() > 0.3 and last.max() < 0.3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task.rank=6",), "at most task.d_x = 5"),
        (("task.d_x=1", "task.rank=1"), "with task.d_x = 1 it is 1"),
        (("task.n_train=20",), "at least task.batch_size = 24"),
        (("engine=moments",), "use engine = batches"),
        (("method=kfac", "method.damping=[0.0]"), "a positive damping is needed"),
        (("method=gauss_newton",), "needs the Gauss-Newton step, which this network has not"),
        (("method=kfac", "method.network=bn_hidden"), "second moment of every layer's inputs"),
    ],
)
def test_what_does_not_fit_is_refused(words, said):
    with pytest.raises(ConfigError, match=said):
        composed(*SMALL, *words)
