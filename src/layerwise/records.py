"""Tables of results: their columns, and reading with a check of what they are."""

from pathlib import Path

import pandas as pd

from layerwise.files import atomic_path

METRICS = (
    "train_loss",
    "excess_loss",
    "subspace_distance",
    "transfer_loss",
    "transfer_loss_population",
    "outside_norm",
    "head_sigma_min",
)

# The settings of a linear task that its table repeats.
LINEAR_KEYS = (
    "d_x",
    "d_y",
    "rank",
    "kappa_x",
    "kappa_f",
    "spectrum",
    "basis",
    "inputs",
    "batch_size",
    "noise",
    "n_transfer",
    "transfer_kappa_x",
)

# One row of a run table: what was run, and what was measured at one recorded step of one seed.
RUN_COLUMNS = (
    "method",
    "lr",
    "damping",
    "seed",
    "step",
    *LINEAR_KEYS,
    "eigenvalue_min",
    *METRICS,
    "status",
    "diverged_at",
)


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as .parquet or .csv, by the path's ending."""
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            frame.to_csv(temporary, index=False)


def read_table(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table. Raises ValueError when it cannot be read or lacks one of ``columns``."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # Arrow and the CSV parser each raise their own kinds
        raise ValueError(
            f"{path} is not a readable table ({error}): delete it and run again"
        ) from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}: delete it and run again")
    return frame
