"""Compare all tables of two runs of the pipeline: the same files, with exactly the same numbers."""

import sys
from pathlib import Path

import pandas as pd


def tables(checkout: Path) -> dict[Path, Path]:
    """The tables of a checkout's results and figures, by their path in it."""
    return {
        path.relative_to(checkout): path
        for kind in ("parquet", "csv")
        for folder in ("results", "figures")
        for path in sorted((checkout / folder).rglob(f"*.{kind}"))
    }


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def main() -> None:
    ours, theirs = (tables(Path(argument)) for argument in sys.argv[1:])
    if not ours or ours.keys() != theirs.keys():
        sys.exit(f"the runs left different tables: {sorted(map(str, ours.keys() ^ theirs.keys()))}")
    for name, path in ours.items():
        pd.testing.assert_frame_equal(
            read(path), read(theirs[name]), check_exact=True, obj=str(name)
        )
    print(f"{len(ours)} tables are equal")


if __name__ == "__main__":
    main()
