"""Where the project's files are: in its checkout, or as far as an installed package has them. No torch."""

from pathlib import Path

from layerwise.settings.validation import ConfigError

PACKAGE_DIR = Path(__file__).resolve().parents[1]
# The checkout that the package lies in, if it lies in one.
PROJECT = PACKAGE_DIR.parents[1]
# A wheel has a copy of config/, which its build makes; a checkout has none.
COPIED = PACKAGE_DIR / "_config"
CONFIG_DIR = COPIED if COPIED.is_dir() else PROJECT / "config"

GET_IT = (
    "clone the project's repository, and run `python -m pip install -e .` in it, or `make quick` for all "
    "at once"
)


def need_config() -> None:
    """Raise ConfigError where the package has been copied without its configuration."""
    if not (CONFIG_DIR / "config.yaml").is_file():
        raise ConfigError(
            f"layerwise needs the folder config of its checkout, and {CONFIG_DIR} is none: {GET_IT}"
        )


def need_checkout(what: str) -> None:
    """Raise ConfigError where the package is installed without its checkout, which ``what`` needs."""
    if not all((PROJECT / part).exists() for part in ("Snakefile", "workflow", "scripts")):
        raise ConfigError(
            f"{what} needs the project's checkout, with its workflow and scripts, and {PACKAGE_DIR} lies "
            f"in none: {GET_IT}"
        )
