"""Runs from Python, for notebooks and scripts: ``layerwise.run("method=kfac", "task.kappa_x=100")``."""

from collections.abc import Sequence

import pandas as pd

from layerwise.planning.compose import compose_config, settings_of
from layerwise.planning.overrides import methods_from_override
from layerwise.settings.validation import ConfigError

__all__ = ["ConfigError", "run"]


def run(*overrides: str, methods_from: str | Sequence[str] = ()) -> pd.DataFrame:
    """Run a method on a problem: all its seeds, step sizes and damping values.

    ``overrides`` are those of the command line, ``python -m layerwise.simulate``, in Hydra's grammar.
    ``methods_from`` names folders with methods of your own. Returns the table that the command would
    write: a row for each damping value, step size, seed and recorded step. Works on one thread, unless
    OMP_NUM_THREADS says otherwise: several threads wait for each other on a busy machine.

    Raises ConfigError, with one sentence, for what cannot be run.
    """
    folders = [methods_from] if isinstance(methods_from, str) else list(methods_from)
    own = [methods_from_override(folders)] if folders else []
    settings = settings_of(compose_config([*overrides, *own]))
    from layerwise.tasks.run import run_table  # torch takes a second: refusals do not wait for it

    return run_table(settings)
