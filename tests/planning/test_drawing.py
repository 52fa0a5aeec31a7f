"""Figures and experiments: each experiment has its own files, and what cannot be drawn is refused."""

from pathlib import Path

import pytest

from layerwise.planning import drawing
from layerwise.planning.compose import options
from layerwise.planning.drawing import reads_of
from layerwise.planning.pipeline import Pipeline
from layerwise.planning.plan import plan
from layerwise.planning.request import Request
from layerwise.settings.experiment import FIGURES
from layerwise.settings.validation import ConfigError


def test_the_shipped_figures_keep_their_names():
    """Those that exactly one experiment of the configuration draws, and so all of them."""
    figures = Pipeline(Request()).figures
    # The methods of students are drawn as those of other experiments are.
    again = {name.split("-")[0] for name in figures if "-" in name}
    assert again <= {"exponents", "mlp_condition"}
    drawn = [plan(name, "paper").experiment.figures for name in options("experiment")]
    assert len(figures) == sum(map(len, drawn))


def test_two_experiments_draw_one_figure_each_into_a_file_of_its_own():
    """Whichever of them are asked for, and in whatever order."""
    word = "experiment.figures=[condition_study]"
    for names in (("condition_study", "modern_optimizers"), ("modern_optimizers",)):
        figures = Pipeline(Request(names, "paper", (word,))).figures
        assert figures["condition_study-modern_optimizers"].experiment == "modern_optimizers"
        if "condition_study" in names:
            assert figures["condition_study"].experiment == "condition_study"
        assert len(figures) == len(names)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_says_what_it_reads(figure):
    reads = reads_of(figure)
    assert reads.tables and reads.experiment in {*options("experiment"), "benchmark", "step_time"}


@pytest.mark.parametrize(
    ("experiment", "word", "sentence"),
    [
        ("contraction", "experiment.figures=[head_to_head]",
         "it draws regime, which the table traces has not"),
        ("contraction", "experiment.figures=[spike]",
         "it draws the table runs, and with experiment.select_by = 'subspace_distance' there are summary"),
        ("spike", "experiment.figures=[head_to_head]", "it draws the table traces"),
        ("contraction", "experiment.figures=[benchmark]", "it draws the table engines"),
        ("contraction", "experiment.figures=[second_order]", "it draws maps over damping"),
        ("sample_size", "experiment.methods=[sgd]", "it draws the method kfac, which is not run"),
        ("head_to_head", "task.metrics=[train_loss,subspace_distance]",
         "it draws transfer_loss, which the table traces has not"),
        ("head_to_head", "experiment.problems=[{regime: mild}, {kappa_x: 3}]", "it draws regime"),
        ("contraction", "experiment.figures=[contractoin]", "did you mean 'contraction'?"),
    ],
)  # fmt: skip
def test_a_figure_that_the_tables_cannot_feed_is_refused_by_name(experiment, word, sentence):
    with pytest.raises(ConfigError, match="experiment.figures = ") as refused:
        plan(experiment, "paper", [word])
    assert sentence in str(refused.value)


def test_a_figure_that_does_not_say_what_it_reads_is_refused(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/mute.py").write_text("def draw(tables, labels): ...\n")
    monkeypatch.setattr(drawing, "PACKAGE_DIR", Path(tmp_path))
    with pytest.raises(ConfigError, match="mute.py does not say what it draws"):
        reads_of("mute")
