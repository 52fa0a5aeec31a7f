"""Train a small MLP on anisotropic inputs with SGD, Adam and KFAC, each at its best step size.

A teacher network makes the targets from white noise u. The student sees x = Sigma^(1/2) u in place
of u, where Sigma has the given condition number and a random basis, so the task is the same at
every condition number and only the inputs' coordinates differ. For each method the step size is the
one of a common grid that needs the fewest steps to the target, by the median over seeds.

    python examples/train_mlp.py                  # under a minute on one thread
    python examples/train_mlp.py --condition 1    # white inputs
    python examples/train_mlp.py --quick          # a few seconds, too short to compare
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from layerwise.optim import KFAC

INPUTS, STUDENT_WIDTH, TEACHER_WIDTH = 64, 128, 8
BATCH, VALIDATION = 256, 500
TARGET = 0.2  # validation error, as a part of the targets' variance

METHODS: dict[str, Callable[[nn.Module, float], torch.optim.Optimizer]] = {
    "SGD": lambda model, lr: torch.optim.SGD(model.parameters(), lr=lr),
    "Adam": lambda model, lr: torch.optim.Adam(model.parameters(), lr=lr),
    "KFAC": lambda model, lr: KFAC(model, lr=lr),
}


@dataclass(frozen=True)
class Scale:
    """How much is run: seeds, step sizes (half a decade apart) and the most steps of a run."""

    seeds: int
    lrs: list[float]
    max_steps: int


FULL = Scale(seeds=3, lrs=[10 ** (k / 2) for k in range(-5, 1)], max_steps=500)
QUICK = Scale(seeds=1, lrs=[0.01, 0.1], max_steps=40)


@dataclass(frozen=True)
class Row:
    """A method at a step size; steps is infinite if the target was not reached."""

    method: str
    lr: float
    steps: float
    milliseconds: float  # of CPU time a step

    @property
    def seconds(self) -> float:
        """CPU time of the steps to the target."""
        return self.steps * self.milliseconds / 1000


class Data:
    """Fresh samples of a teacher-student problem, fixed by its condition number and seed."""

    def __init__(self, condition: float, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(self._normal(INPUTS, INPUTS)).Q
        spectrum = torch.logspace(0, -math.log10(condition), INPUTS)
        self._root = (basis * (spectrum / spectrum.mean()).sqrt()) @ basis.mT
        self._hidden = 2 * self._normal(INPUTS, TEACHER_WIDTH) / INPUTS**0.5
        self._readout = self._normal(TEACHER_WIDTH, 1) / TEACHER_WIDTH**0.5

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """n samples x (n, INPUTS) and y (n, 1)."""
        u = self._normal(n, INPUTS)
        return u @ self._root, torch.tanh(u @ self._hidden) @ self._readout

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._random)


def train(method: str, lr: float, data: Data, seed: int, max_steps: int) -> tuple[float, float]:
    """Steps until the target (infinite if it is not reached), and the median CPU seconds of a step."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(INPUTS, STUDENT_WIDTH), nn.Tanh(), nn.Linear(STUDENT_WIDTH, 1))
    optimizer = METHODS[method](model, lr)
    x_validation, y_validation = data.draw(VALIDATION)
    durations = []
    for step in range(1, max_steps + 1):
        x, y = data.draw(BATCH)
        start = time.process_time()
        optimizer.zero_grad()
        loss = 0.5 * (model(x) - y).square().sum(dim=1).mean()
        if not loss.isfinite():
            break
        loss.backward()
        optimizer.step()
        durations.append(time.process_time() - start)
        with torch.no_grad():
            error = (model(x_validation) - y_validation).square().mean()
        if error < TARGET * y_validation.var():
            return step, median(durations)
    return math.inf, median(durations)


def best(method: str, condition: float, scale: Scale) -> Row:
    """The method at the step size with the fewest steps by the median over seeds."""
    rows: list[Row] = []
    for lr in reversed(scale.lrs):
        # Runs longer than the best median so far cannot lower it.
        limit = min([scale.max_steps, *(row.steps for row in rows)])
        runs = [train(method, lr, Data(condition, s), s, int(limit)) for s in range(scale.seeds)]
        steps, seconds = zip(*runs, strict=True)
        rows.append(Row(method, lr, median(steps), 1000 * median(seconds)))
    return min(rows, key=lambda row: row.steps)


def line(row: Row, scale: Scale) -> str:
    """A row of the table."""
    if math.isinf(row.steps):
        return f"{row.method:8}{'-':>9}{f'>{scale.max_steps}':>7}{row.milliseconds:>9.2f}{'-':>8}"
    edge = "  (at the grid's edge)" if row.lr in (scale.lrs[0], scale.lrs[-1]) else ""
    numbers = f"{row.lr:>9.3g}{row.steps:>7.0f}{row.milliseconds:>9.2f}{row.seconds:>8.2f}"
    return f"{row.method:8}{numbers}{edge}"


def verdict(rows: list[Row]) -> str:
    """Which method was fastest."""
    in_steps = min(rows, key=lambda row: row.steps)
    in_time = min(rows, key=lambda row: row.seconds)
    if math.isinf(in_steps.steps):
        return "No method reached the target."
    return f"Fastest: {in_steps.method} in steps, {in_time.method} in time."


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--condition", type=float, default=1e3, help="of the inputs' covariance")
    parser.add_argument("--quick", action="store_true", help="a few seconds, too short to compare")
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else FULL
    print(
        f"{INPUTS}-{STUDENT_WIDTH}-1 tanh network, inputs of condition number "
        f"{options.condition:g}, batches of {BATCH}.\nSteps until the validation error is "
        f"{TARGET:.0%} of the targets' variance, median of {scale.seeds} seeds:\n\n"
        f"{'method':8}{'best lr':>9}{'steps':>7}{'ms/step':>9}{'CPU s':>8}"
    )
    rows = []
    for method in METHODS:
        rows.append(best(method, options.condition, scale))
        print(line(rows[-1], scale), flush=True)
    print(verdict(rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
