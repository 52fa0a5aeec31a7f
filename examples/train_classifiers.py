"""Train a small CNN or transformer with SGD, AdamW and KFAC, tuned equally, on data made here.

    python examples/train_classifiers.py cnn            # a few minutes on one thread
    python examples/train_classifiers.py transformer
    python examples/train_classifiers.py cnn --quick    # a few seconds, too short to compare

The CNN tells ten smooth images apart that are shifted and drowned in noise; the transformer names
the token that follows the marker in a sequence. Every batch is drawn anew. Each method has twelve
choices of options and as many steps; the choice with the lowest loss over the last tenth of its
steps, on average over the tuning seeds, is run on other seeds, of weights and of data. These are
plotted, loss against steps and against the time of the steps, with a table of the curves beside the
plot.
"""

import argparse
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.optim import SGD, AdamW, Optimizer

from layerwise.optim import KFAC
from networks import Block, cnn

BATCH, SMOOTHED = 64, 20  # samples of a batch, steps over which curves are averaged
SIZE, IMAGES, NOISE = 8, 10, 0.7
TOKENS, LENGTH, WIDTH = 8, 8, 32


# Data and networks


def images(n: int, random: torch.Generator, templates: Tensor) -> tuple[Tensor, Tensor]:
    """n noisy shifted images (n, 1, SIZE, SIZE) and their classes."""
    y = torch.randint(IMAGES, (n,), generator=random)
    shifts = torch.randint(SIZE, (n, 2), generator=random)
    x = torch.stack([t.roll(s.tolist(), (0, 1)) for t, s in zip(templates[y], shifts, strict=True)])
    return (x + NOISE * torch.randn(x.shape, generator=random))[:, None], y


def sequences(n: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """n sequences (n, LENGTH) of tokens with a marker, token 0, and what follows it."""
    x = torch.randint(1, TOKENS, (n, LENGTH), generator=random)
    place = torch.randint(LENGTH - 1, (n, 1), generator=random)
    x.scatter_(1, place, 0)
    return x, x.gather(1, place + 1)[:, 0]


class Transformer(nn.Module):
    """Tokens and places, two blocks, the mean over places, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(TOKENS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block(WIDTH, 4 * WIDTH, nn.GELU()) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.blocks(self.tokens(x) + self.places.weight)
        return self.head(self.norm(hidden).mean(dim=1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cnn": lambda: cnn(SIZE, IMAGES),
    "transformer": Transformer,
}


def draws(network: str, seed: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Batches of a network's problem, another with each call."""
    random = torch.Generator().manual_seed(seed)
    if network == "transformer":
        return lambda: sequences(BATCH, random)
    # The images themselves are the same for all seeds: they are the problem.
    coarse = torch.randn(1, IMAGES, 4, 4, generator=torch.Generator().manual_seed(0))
    templates = interpolate(coarse, (SIZE, SIZE), mode="bicubic")[0]
    return lambda: images(BATCH, random, templates)


# Methods: a name, twelve choices, and the optimiser of a choice

KFAC_OPTIONS = {
    "loss": "cross_entropy",
    "precondition_outputs": "sampled",
    "pi_damping": True,
    "factor_decay": 0.95,
    "update_interval": 5,
    "momentum": 0.9,
}


def kfac(model: nn.Module, choice: tuple[float, float]) -> Optimizer:
    """The layers by KFAC; embeddings and LayerNorms by AdamW with its usual step size."""
    lr, damping = choice
    return KFAC(
        model,
        lr,
        damping=damping,
        other=lambda parameters: AdamW(parameters, lr=3e-3, weight_decay=0.0),
        **KFAC_OPTIONS,
    )


def half_decades(first: int, last: int) -> list[float]:
    """10^(k/2) from the first k to the last, to a digit: 1, 3, 10, ..."""
    return [float(f"{10 ** (k / 2):.0e}") for k in range(first, last + 1)]


METHODS: dict[str, tuple[list, Callable[..., Optimizer]]] = {
    "SGD": (
        half_decades(-7, 4),
        lambda model, lr: SGD(model.parameters(), lr, momentum=0.9),
    ),
    "AdamW": (
        half_decades(-10, 1),
        lambda model, lr: AdamW(model.parameters(), lr, weight_decay=0.0),
    ),
    "KFAC": (
        [(lr, damping) for damping in (0.001, 0.01, 0.1) for lr in half_decades(-6, -3)],
        kfac,
    ),
}


# Training


@dataclass(frozen=True)
class Run:
    """Losses of the batches before each step, and CPU seconds up to the end of each."""

    losses: list[float]
    seconds: list[float]

    @property
    def last(self) -> float:
        """The mean over the last tenth of the steps; infinite if the run diverged."""
        tail = self.losses[-max(1, len(self.losses) // 10) :]
        return mean(tail) if all(map(math.isfinite, tail)) else math.inf


def train(network: str, method: str, choice: object, seed: int, steps: int) -> Run:
    torch.manual_seed(seed)
    model, draw = NETWORKS[network](), draws(network, seed)
    optimizer = METHODS[method][1](model, choice)
    losses, seconds, spent = [], [], 0.0
    for _ in range(steps):
        x, y = draw()
        start = time.process_time()
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        losses.append(loss.item())
        if not loss.isfinite():
            break
        loss.backward()
        try:
            optimizer.step()
        except RuntimeError:  # factors of weights that have left all bounds
            losses.append(math.inf)
            break
        spent += time.process_time() - start
        seconds.append(spent)
    return Run(losses, seconds)


def tuned(network: str, method: str, seeds: range, steps: int) -> tuple[object, bool]:
    """The best of a method's choices, and whether one of its values is the first or last tried."""
    choices = METHODS[method][0]
    scores = [mean(train(network, method, c, s, steps).last for s in seeds) for c in choices]
    index = scores.index(min(scores))
    axes = zip(*(c if isinstance(c, tuple) else (c,) for c in choices), strict=True)
    at_edge = any(axis[index] in (min(axis), max(axis)) for axis in axes)
    return choices[index], at_edge


def smoothed(values: list[float]) -> list[float]:
    """Means of the last SMOOTHED values."""
    return [mean(values[max(0, i + 1 - SMOOTHED) : i + 1]) for i in range(len(values))]


def write(runs: dict[str, list[Run]], file: Path) -> None:
    """The plot, and the table that it shows as CSV."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    with file.with_suffix(".csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["method", "run", "step", "seconds", "loss"])
        for color, (method, its) in enumerate(runs.items()):
            for index, run in enumerate(its):
                curve = smoothed(run.losses)[: len(run.seconds)]
                style = {"color": f"C{color}", "label": method if index == 0 else None, "lw": 1}
                axes[0].plot(range(1, len(curve) + 1), curve, **style)
                axes[1].plot(run.seconds, curve, **style)
                for step, (seconds, loss) in enumerate(zip(run.seconds, curve, strict=True), 1):
                    rows.writerow([method, index, step, f"{seconds:.4f}", f"{loss:.5g}"])
    axes[0].set(xlabel="steps", ylabel=f"loss, mean of {SMOOTHED} batches", yscale="log")
    axes[1].set(xlabel="CPU seconds of steps")
    axes[0].legend(frameon=False)
    figure.savefig(file, dpi=150)


def first_below(run: Run, level: float) -> int | None:
    """The first step after which the smoothed loss is below a level."""
    return next((i for i, loss in enumerate(smoothed(run.losses)) if loss < level), None)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, help="the plot's file, as in curves.png")
    parser.add_argument("--quick", action="store_true", help="a few seconds, too short to compare")
    options = parser.parse_args(arguments)
    steps = 6 if options.quick else options.steps
    tuning, reported = (range(1), range(100, 101)) if options.quick else (range(2), range(100, 103))
    print(f"{'method':8}{'choice':>16}{'last loss, by seed':>26}{'ms/step':>9}")
    runs: dict[str, list[Run]] = {}
    for method in METHODS:
        choice, at_edge = tuned(options.network, method, tuning, steps)
        runs[method] = [train(options.network, method, choice, s, steps) for s in reported]
        last = "  ".join(f"{run.last:.4f}" for run in runs[method])
        each = mean(1000 * run.seconds[-1] / len(run.seconds) for run in runs[method])
        edge = "  (at the edge of its grid)" if at_edge else ""
        print(f"{method:8}{choice!s:>16}{last:>26}{each:9.2f}{edge}", flush=True)
    level = max(mean(run.last for run in its) for its in runs.values())
    if math.isfinite(level):
        print(f"To the loss {level:.4f}, at which the slowest method ends, means over seeds:")
        for method, its in runs.items():
            reached = [(run, first_below(run, level)) for run in its]
            if any(step is None for _, step in reached):
                print(f"{method:8} not on every seed")
                continue
            step = mean(step + 1 for _, step in reached)
            seconds = mean(run.seconds[step] for run, step in reached)
            print(f"{method:8}{step:6.0f} steps{seconds:8.2f} s")
    if options.out:
        write(runs, options.out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
