"""What a step must do at least, timed operation by operation at the very shapes, and the step beside it.

A step draws a batch's second moments and moves all variants of all seeds. Its floor is the sum of its
matrix products, factorisations, random numbers and updates, each timed alone. Where a product's
structure makes only a share of its multiplications necessary (a triangular factor, a symmetric
result), that share of its time counts. Sums, means and copies count as nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.benchmark.sizes import METHODS, Sizes, configured
from layerwise.benchmark.step import moment_step
from layerwise.benchmark.timing import clock_of, interleaved, row
from layerwise.data.moments import normals
from layerwise.data.streams import generator
from layerwise.networks.linalg import solve_factored_right
from layerwise.settings.run import RunSettings
from layerwise.settings.tasks.linear_representation import LinearTask

DRAW = ("normals", "chi-squares", "x = root A", "F* G* x", "x x^T", "y x^T")
HEAD = ("G xy", "z z^T")  # moments of z = G x
GRADIENT = ("G xx", "F^T F", "F^T F G xx", "F^T yx", *HEAD, "F zz")
# Each method's step; an operation that comes twice is done twice.
OPERATIONS = {
    "sgd": (*DRAW, *GRADIENT, "update"),
    "adam": (*DRAW, *GRADIENT, "Adam's update"),
    "kfac": (*DRAW, "G xx", "F^T F", "Cholesky of F^T F", "solve with F^T F", "F^T yx",
             "Cholesky of xx", "solve with xx", "G xx", *HEAD, "Cholesky of zz", "solve with zz",
             "update"),
}  # fmt: skip


class Operation(NamedTuple):
    """``share`` is the part of the timed work that is necessary."""

    work: Callable[[], object]
    share: float = 1.0


class Shapes(NamedTuple):
    """S seeds, V variants (D dampings among them), k features; the Bartlett factor has r columns."""

    seeds: int
    variants: int
    dampings: int
    d_x: int
    d_y: int
    k: int
    n: int

    @classmethod
    def of(cls, settings: RunSettings) -> "Shapes":
        """The shapes of a method's runs."""
        task, dampings = settings.task, max(1, len(settings.method.damping))
        assert isinstance(task, LinearTask)
        variants = dampings * len(settings.method.lr)
        return cls(len(settings.seeds), variants, dampings, task.d_x, task.d_y, task.rank,
                   task.batch_size)  # fmt: skip

    @property
    def r(self) -> int:
        return min(self.d_x, self.n - 1)


def triangular_shares(d: int, r: int) -> tuple[float, float, float]:
    """Necessary shares of multiplications with a lower trapezoidal X (d, r): of L X for a lower
    triangular L, of X X^T (symmetric), and of M X or M X^T for a full M."""
    left = np.arange(d, d - r, -1)  # entries of each column of X
    right = np.minimum(np.arange(1, d + 1), r)  # and of each row
    with_triangle = float((left * (left + 1) / 2).sum()) / (d * d * r)
    with_itself = float((right * np.arange(d, 0, -1)).sum()) / (d * d * r)
    return with_triangle, with_itself, float(left.sum()) / (d * r)


class Operands:
    """Operations on random matrices of a precision on a device."""

    def __init__(self, dtype: torch.dtype, device: str) -> None:
        self._dtype, self._device = dtype, device

    def random(self, *shape: int) -> Tensor:
        """Standard normal entries."""
        return torch.randn(*shape, dtype=self._dtype, device=self._device)

    def product(self, b: int, m: int, inner: int, q: int, share: float = 1.0) -> Operation:
        """b products (m, inner) (inner, q)."""
        left, right, out = self.random(b, m, inner), self.random(b, inner, q), self.random(b, m, q)
        return Operation(lambda: torch.bmm(left, right, out=out), share)

    def gram(self, b: int, m: int, inner: int) -> Operation:
        """b products (m, inner) (inner, m) with a symmetric result."""
        return self.product(b, m, inner, m, share=(m + 1) / (2 * m))

    def _positive(self, b: int, m: int) -> Tensor:
        rows = self.random(b, m, m)
        return rows @ rows.mT / m + torch.eye(m, dtype=self._dtype, device=self._device)

    def cholesky(self, b: int, m: int) -> Operation:
        """b factorisations (m, m)."""
        matrix = self._positive(b, m)
        return Operation(lambda: torch.linalg.cholesky_ex(matrix))

    def solve(self, b: int, m: int, q: int) -> Operation:
        """b pairs of triangular solves (m, m) for q rows."""
        factor, rows = torch.linalg.cholesky(self._positive(b, m)), self.random(b, q, m)
        return Operation(lambda: solve_factored_right(rows, factor))

    def normals(self, count: int) -> Operation:
        """The moment engine's own source of standard normal numbers, brought to the device."""
        fill, buffer = normals("normals", 0, self._dtype), torch.empty(count, dtype=self._dtype)

        def draw() -> Tensor:
            fill(buffer)
            return buffer.to(self._device)

        return Operation(draw)


def operations(at: Shapes, of: Operands) -> dict[str, Operation]:
    """All operations that OPERATIONS names; weights are folded as (S, V k) rows where a matrix of a
    seed multiplies them, and stay (S V, k) where their own matrices do."""
    s, v, runs, d, d_y, k, r = (
        at.seeds, at.variants, at.seeds * at.variants, at.d_x, at.d_y, at.k, at.r,
    )  # fmt: skip
    with_triangle, with_itself, with_full = triangular_shares(d, r)
    count = s * (r * d - r * (r + 1) // 2 + d_y * r + d + d_y)
    rng, degrees = generator("chi-squares", 0), np.tile(at.n - 1.0 - np.arange(r), s)
    weights = [of.random(runs, k, d).requires_grad_(), of.random(runs, d_y, k).requires_grad_()]
    for weight in weights:
        weight.grad = torch.rand_like(weight)
    return {
        "normals": of.normals(count),
        "chi-squares": Operation(lambda: rng.chisquare(degrees)),
        "x = root A": of.product(s, d, d, r, with_triangle),
        "F* G* x": of.product(s, d_y, d, r, with_full),
        "x x^T": of.product(s, d, r, d, with_itself),
        "y x^T": of.product(s, d_y, r, d, with_full),
        "G xx": of.product(s, v * k, d, d),
        "G xy": of.product(s, v * k, d, d_y),
        "F^T yx": of.product(s, v * k, d_y, d),
        "F^T F": of.gram(runs, k, d_y),
        "F^T F G xx": of.product(runs, k, k, d),
        "z z^T": of.gram(runs, k, d),
        "F zz": of.product(runs, d_y, k, k),
        "Cholesky of F^T F": of.cholesky(runs, k),
        "solve with F^T F": of.solve(runs, k, d_y),
        "Cholesky of xx": of.cholesky(s * at.dampings, d),
        "solve with xx": of.solve(s * at.dampings, d, v * k // at.dampings),
        "Cholesky of zz": of.cholesky(runs, k),
        "solve with zz": of.solve(runs, k, d_y),
        "update": Operation(torch.optim.SGD(weights, lr=1e-9, fused=True).step),
        "Adam's update": Operation(torch.optim.Adam(weights, lr=1e-9, fused=True).step),
    }


def measure(sizes: Sizes, threads: int, device: str, dtype: str) -> pd.DataFrame:
    """Seconds of each method's operations, their sum, the step, and the step by the sum in the same
    round."""
    rows: list[dict[str, Any]] = []
    for method in METHODS:
        settings = configured(sizes, method, f"device={device}", f"dtype={dtype}")
        every = operations(Shapes.of(settings), Operands(getattr(torch, dtype), device))
        done = OPERATIONS[method]
        works = {name: every[name].work for name in done} | {"step": moment_step(settings)}
        seconds = interleaved(works, sizes.rounds, sizes.least_seconds, clock_of(device))
        step = seconds.pop("step")
        needed = {name: every[name].share * taken for name, taken in seconds.items()}
        floor = np.sum([needed[name] for name in done], axis=0)
        keys = {"method": method, "dtype": dtype, "device": device, "threads": threads}
        keys |= {"rounds": sizes.rounds}
        for name, taken in needed.items():
            own = {"operation": name, "times": done.count(name), "share": every[name].share}
            rows.append(row(keys | own, "operation", taken, "s"))
        rows += [
            row(keys, "floor", floor, "s"),
            row(keys, "step", step, "s"),
            row(keys, "step / floor", step / floor, "1"),
        ]
    return pd.DataFrame(rows)
