"""One run as a Hydra app: `python -m layerwise.simulate method=kfac task.kappa_x=100 out=run.parquet`.

Writes one row for each (step size, damping, seed, recorded step), and beside the table a record of
the resolved configuration, versions, seeds, wall time and host.
"""

import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from layerwise.planning.compose import (
    compose_config,
    paths_of,
    register_methods,
    settings_of,
)
from layerwise.planning.places import CONFIG_DIR
from layerwise.results.files import FileError
from layerwise.results.terminal import escape_what_does_not_print
from layerwise.settings.validation import ConfigError

# Why not.
SWEEPS = (
    "is not allowed: the runs of Hydra's --multirun would write one table over the other; `layerwise "
    "reproduce` runs many, or call this program for each, with its own out"
)


@hydra.main(config_path=str(CONFIG_DIR), config_name="config", version_base="1.3")
def app(config: DictConfig) -> None:
    """The run of a configuration that Hydra composes, for Hydra's own flags, such as --cfg."""
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        _refuse(ConfigError(f"hydra.mode = MULTIRUN {SWEEPS}"))
    run(config)


def run(config: DictConfig) -> None:
    """Validate, run, write. What cannot be used ends with one sentence and an exit code: 2 for a
    setting, 1 for a file."""
    try:
        settings = settings_of(config)
        out, instances = paths_of(config)
        # torch takes a second to load: a refused configuration does not wait for it.
        from layerwise.results.selection import diverged_lines
        from layerwise.tasks.run import run_cell

        table = run_cell(settings, instances, out)
        print(f"wrote {out}, and its record {out}.json", *diverged_lines(table), sep="\n")
    except ConfigError as error:
        _refuse(error)
    except FileError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Run what the overrides say. Hydra takes over where its own flags or settings are among them."""
    words = sys.argv[1:]
    escape_what_does_not_print()
    try:
        refuse_sweeps(words)
        register_methods(words)
        if not any(word.startswith(("-", "hydra")) for word in words):
            config = compose_config(words)
        else:
            config = None
    except ConfigError as error:
        _refuse(error)
    if config is None:
        app()
    else:
        run(config)


def refuse_sweeps(words: Sequence[str]) -> None:
    """Raise ConfigError for Hydra's own sweep, whose runs would all write one table."""
    for word in words:
        is_mode = re.match(r"\+*hydra\b.*mode.*(multirun|2)", word, re.IGNORECASE)
        if is_mode or re.fullmatch(r"-[a-z]*m[a-z]*|--m\w*", word):
            raise ConfigError(f"{word} {SWEEPS}")


def _refuse(error: ConfigError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
