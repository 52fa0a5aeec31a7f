"""One run as a Hydra app: `python -m layerwise.simulate method=kfac task.kappa_x=100 out=run.parquet`.

Writes one row for each (step size, damping, seed, recorded step), and beside the table a record of
the resolved configuration, versions, seeds, wall time and host.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from layerwise.compose import CONFIG_DIR, compose_config, settings_of
from layerwise.settings import ConfigError


@hydra.main(config_path=str(CONFIG_DIR), config_name="config", version_base="1.3")
def app(config: DictConfig) -> None:
    """Validate, run, write."""
    settings = settings_of(config)
    # torch takes a second to load: a refused configuration does not wait for it.
    from layerwise.run import run_cell

    run_cell(settings, Path(config.instances) if config.instances else None, Path(config.out))


def main() -> None:
    """Refuse a bad configuration with one sentence and exit code 2, before Hydra takes over."""
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    only_shows = len(overrides) < len(sys.argv) - 1  # Hydra's own flags, such as --cfg job
    try:
        config = compose_config(overrides)
        if not only_shows:
            settings_of(config)
    except ConfigError as error:
        sys.exit(_refuse(error))
    app()


def _refuse(error: ConfigError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
