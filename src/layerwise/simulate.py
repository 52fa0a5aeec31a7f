"""One run as a Hydra app: `python -m layerwise.simulate method=kfac task.kappa_x=100 out=run.parquet`.

Writes one row for each (step size, damping, seed, recorded step), and beside the table a record of
the resolved configuration, versions, seeds, wall time and host.
"""

import sys
from typing import NoReturn

import hydra
from omegaconf import DictConfig

from layerwise.planning.compose import (
    CONFIG_DIR,
    compose_config,
    paths_of,
    register_methods,
    settings_of,
)
from layerwise.results.files import FileError
from layerwise.settings.validation import ConfigError


@hydra.main(config_path=str(CONFIG_DIR), config_name="config", version_base="1.3")
def app(config: DictConfig) -> None:
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
    """Check the overrides before Hydra takes over, whose own errors name no nearest key."""
    try:
        register_methods(sys.argv[1:])
        # With Hydra's own flags (--cfg job, --multirun) the words are not all overrides of one run.
        if not any(argument.startswith("-") for argument in sys.argv[1:]):
            config = compose_config(sys.argv[1:])
            settings_of(config)
            paths_of(config)
    except ConfigError as error:
        _refuse(error)
    app()


def _refuse(error: ConfigError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
