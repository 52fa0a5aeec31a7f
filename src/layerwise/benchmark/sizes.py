"""How large a benchmark is, and the settings of the runs that it times."""

from dataclasses import dataclass

from layerwise.planning.compose import compose_config, settings_of
from layerwise.settings.run import RunSettings, run_settings

METHODS = ("sgd", "adam", "kfac")


@dataclass(frozen=True)
class Sizes:
    """``overrides`` change the configuration's own problem and grids, in Hydra's grammar."""

    overrides: tuple[str, ...]
    steps: int  # of the plain loop and of the moment engine
    raw_steps: int  # where the raw batches of all seeds are drawn, which takes longer
    figure: tuple[str, tuple[str, ...]]  # scale and overrides of the main comparison's plan
    single_index: tuple[str, ...]  # overrides of a run on single-index data
    axes: dict[str, tuple[int, ...]]  # values of each of AXES
    dense_d_x: tuple[int, ...]  # for the second-order methods; Newton takes at most 1024 weights
    threads: tuple[int, ...]
    rounds: int
    least_seconds: float  # that a timing takes; a shorter work is repeated


# What the scaling curves vary, and the key behind it.
AXES = {"n": "task.batch_size", "d_x": "task.d_x", "seeds": "seeds", "step sizes": "method.lr"}

FULL = Sizes(
    overrides=("task.kappa_x=100", "seeds=16", "record_every=10"),
    steps=150,
    raw_steps=30,
    figure=("paper", ()),
    single_index=("seeds=4", "steps=30", "record_every=5", "dtype=float32"),
    axes={
        "n": (100, 1_000, 10_000, 100_000, 1_000_000),
        "d_x": (50, 100, 200, 400, 800),
        "seeds": (1, 2, 4, 8, 16, 32, 64, 128),
        "step sizes": (1, 2, 4, 8, 16, 32),
    },
    dense_d_x=(30, 60, 120, 240),
    threads=(1, 2),
    rounds=5,
    least_seconds=0.02,
)
# To see that it runs: its times say nothing.
QUICK = Sizes(
    overrides=("task.d_x=8", "task.d_y=5", "task.rank=3", "task.batch_size=64", "seeds=2",
               "record_every=2"),
    steps=4,
    raw_steps=2,
    figure=("quick", ("task.d_x=8", "task.d_y=5", "task.rank=2", "steps=4")),
    single_index=("seeds=2", "steps=2", "record_every=1", "task.d=12", "task.width=8"),
    axes={"n": (16, 64), "d_x": (6, 8), "seeds": (1, 2), "step sizes": (1, 2)},
    dense_d_x=(6, 8),
    threads=(1,),
    rounds=2,
    least_seconds=0.0,
)  # fmt: skip


def configured(sizes: Sizes, method: str, *overrides: str) -> RunSettings:
    """The validated settings of a method's runs. Raises ConfigError with one sentence."""
    return settings_of(compose_config([f"method={method}", *sizes.overrides, *overrides]))


def on_single_index(sizes: Sizes, method: str, *overrides: str) -> RunSettings:
    """The same on single-index data, with the task's own step sizes."""
    words = ["task=single_index", f"method={method}", "method.lr=null", *sizes.single_index]
    return settings_of(compose_config([*words, *overrides]))


def changed(settings: RunSettings, key: str, value: object) -> RunSettings:
    """The settings with another value of a key, as validated. Raises ConfigError with one sentence."""
    content = settings.model_dump()
    part = content
    *above, last = key.split(".")
    for name in above:
        part = part[name]
    part[last] = value
    return run_settings(content)
