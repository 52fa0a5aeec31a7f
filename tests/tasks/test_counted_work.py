"""The work of a step, counted: torch operations, floating-point operations, bytes of results.

A timing shakes with the machine; these counts do not. A step takes as many torch operations whatever
the batch size and however many seeds and variants there are, and what the operations do keeps below
formulas of the shapes.
"""

import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from helpers import Stepper, population, random_weights, small_settings
from layerwise.data.moments import gaussian_moments

aten = torch.ops.aten
# Products are torch's own count, two a multiplication; the rest are textbook counts (Golub & Van
# Loan): m^3/3 for a factorisation, 2 m^2 q for a pair of triangular solves, 9 m^3 for eigenvectors,
# 4 m q^2 - 4 q^3/3 for a thin QR with its Q.
FACTORISATIONS: dict[object, Callable[..., float]] = {
    aten.linalg_cholesky_ex: lambda a: a.numel() * a.shape[-1] / 3,
    aten.cholesky_solve: lambda right, factor: 2 * right.numel() * factor.shape[-1],
    aten.linalg_solve_triangular: lambda factor, right: right.numel() * factor.shape[-1],
    aten._linalg_eigh: lambda a: 9 * a.numel() * a.shape[-1],
    aten.linalg_qr: lambda a: (4 * a.shape[-2] - 4 * a.shape[-1] / 3) * a.numel() * a.shape[-1]
    / a.shape[-2],
}  # fmt: skip


class Counter(TorchDispatchMode):
    """Counts what is dispatched while it is entered, but for views, which do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.operations, self.flops, self.bytes = 0, 0.0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        known = {storage(part) for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)}
        new = [part for part in tree_leaves(out) if storage(part) not in known]
        if not new and not function._schema.is_mutable:
            return out
        self.operations += 1
        self.bytes += sum(part.untyped_storage().nbytes() for part in new)
        name = function.overloadpacket
        if name in flop_registry:
            self.flops += flop_registry[name](*args, **kwargs, out_val=out)
        elif name in FACTORISATIONS:
            matrices = [part for part in args if isinstance(part, Tensor)]
            self.flops += FACTORISATIONS[name](*matrices)
        return out


def storage(part: Tensor) -> int:
    """What identifies a tensor's memory."""
    return part.untyped_storage()._cdata


class Shapes(NamedTuple):
    """s seeds, v variants; G is (k, d), F is (q, k); batches of n."""

    s: int = 3
    v: int = 4
    d: int = 60
    q: int = 12
    k: int = 5
    n: int = 256

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Entries of all G, of all F, of all k x k matrices of a run, and of all xx."""
        s, v, d, q, k, _ = self
        return s * v * k * d, s * v * q * k, s * v * k * k, s * d * d


class Work(NamedTuple):
    """What drawing a batch's moments and a method's step on it did; ``host`` is the peak of Python's
    and NumPy's own memory, in bytes, while drawing."""

    draw: Counter
    step: Counter
    host: int


DAMPING = {"sgd": "[]", "adam": "[]", "kfac": "[0.0]", "gauss_newton": "[0.01]"}
METHODS = list(DAMPING)
BASE = Shapes()
OTHER = Shapes(s=2, v=8, d=40, q=15, k=8, n=64)
# What counts may exceed their formulas by.
FACTOR = 1.05


def drawn_flops(at: Shapes) -> float:
    """The products x = root A, M x, x x^T and y x^T of factors with r + 1 = d + 1 columns."""
    return 2 * at.s * (at.d + 1) * 2 * (at.d + at.q) * at.d


def drawn_numbers(at: Shapes) -> float:
    """x, the noise, y and its squares, xx and yx."""
    return at.s * ((at.d + 3 * at.q) * (at.d + 1) + at.d * (at.d + at.q))


def gradient_flops(at: Shapes) -> float:
    """G xx, G xy, z z^T, F zz, F^T F, (F^T F) G xx and F^T yx."""
    G, F, _, _ = at.sizes
    return 2 * G * (at.d + 2 * at.q + 2 * at.k) + 2 * F * 2 * at.k


def flops(name: str, at: Shapes) -> float:
    """Textbook count of a method's step on drawn moments."""
    G, F, small, xx = at.sizes
    d, q, k = at.d, at.q, at.k
    gram = 2 * F * k  # F^T F
    both_sides = 2 * G * d + gram + small * k / 3 + 2 * F * k + 2 * G * q + xx * d / 3 + 2 * G * d
    head_fit = 2 * G * (d + q + k) + small * k / 3 + 2 * F * k
    eigenvectors = 9 * xx * d + gram + 9 * small * k  # of xx and F^T F
    left_vectors = 2 * F * k + 4 * F * k - 4 * small * k / 3  # of F, by a QR
    rotations = 3 * 2 * G * d + 2 * 2 * G * k + 3 * 2 * F * k  # by Q, V and U
    systems = 2 * G * k * k + small * k * k / 3 + 2 * small * k + 2 * 2 * G * k
    outside = 2 * G * k + small * k / 3 + 2 * F * k  # the range of F
    second_order = eigenvectors + left_vectors + rotations + systems + outside
    return {
        "sgd": gradient_flops(at),
        "adam": gradient_flops(at),
        "kfac": both_sides + head_fit,  # G's gradient is never formed
        "gauss_newton": gradient_flops(at) + second_order,
    }[name]


def numbers(name: str, at: Shapes) -> float:
    """Entries of the results of a step's operations, G, F and k x k matrices for each run."""
    G, F, small, xx = at.sizes
    return {
        "sgd": 6 * G + 8 * F + 2 * small,
        "adam": 11 * G + 13 * F + 2 * small,
        "kfac": 8 * G + 8 * F + 4 * small + 4 * xx + 2 * at.d**2,
        "gauss_newton": (26 + at.k) * G + 17 * F + (15 + 4 * at.k) * small + xx,
    }[name]


def count(name: str, at: Shapes) -> Work:
    """Count the second step: what is set up once is no part of it."""
    seeds = range(at.s)
    of = population(seeds=seeds, d_x=at.d, d_y=at.q, rank=at.k)
    start = random_weights(of, at.v)
    lrs = [0.01 * (1 + place) for place in range(at.v)]
    settings = small_settings(name, f"method.lr={lrs}", f"method.damping={DAMPING[name]}").method
    method = Stepper(settings, of, start)
    stream = gaussian_moments(of, at.n, seeds, "batches")
    weights = method.step(start, [stream.next()])
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    stream.next()
    host = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    with Counter() as draw:
        moments = stream.next()
    with Counter() as step:
        method.step(weights, [moments])
    return Work(draw, step, host)


def below(name: str, what: str, counted: float, formula: float) -> None:
    """Fail with the method and both numbers."""
    assert 0 < counted <= FACTOR * formula, (
        f"{name}: {what} counted {counted:.0f}, by the formula {formula:.0f}, "
        f"allowed {FACTOR:g} times that"
    )


def same(name: str, what: str, first: float, second: float) -> None:
    """Fail with the method and both numbers."""
    assert first == second > 0, f"{name}: {what} counted {first:.0f}, then {second:.0f}"


@pytest.mark.parametrize("name", METHODS)
def test_nothing_depends_on_the_batch_size(name: str) -> None:
    """Batches of a million: the same operations, flops and bytes, and no array of samples in NumPy."""
    small, large = count(name, BASE), count(name, BASE._replace(n=1_000_000))
    for part in ("draw", "step"):
        for what in ("operations", "flops", "bytes"):
            numbers = [getattr(getattr(work, part), what) for work in (small, large)]
            same(name, f"{what} of {part} at n = {BASE.n} and 1000000", *numbers)
    assert large.host <= small.host + 4096, (
        f"{name}: NumPy's bytes while drawing counted {small.host}, then {large.host}"
    )


@pytest.mark.parametrize("name", METHODS)
def test_operations_do_not_grow_with_seeds_or_variants(name: str) -> None:
    few = count(name, BASE._replace(s=2, v=2))
    for more in ({"s": 8, "v": 2}, {"s": 2, "v": 8}):
        many = count(name, BASE._replace(**more))
        for part in ("draw", "step"):
            operations = [getattr(work, part).operations for work in (few, many)]
            same(name, f"operations of {part} with 2 and 2, {more} seeds and variants", *operations)


@pytest.mark.parametrize("at", [BASE, OTHER], ids=["base", "other"])
@pytest.mark.parametrize("name", METHODS)
def test_work_keeps_below_its_formulas(name: str, at: Shapes) -> None:
    """Floating-point operations and bytes of results, in double precision."""
    work = count(name, at)
    below(name, "flops of draw", work.draw.flops, drawn_flops(at))
    below(name, "bytes of draw", work.draw.bytes, 8 * drawn_numbers(at))
    below(name, "flops of step", work.step.flops, flops(name, at))
    below(name, "bytes of step", work.step.bytes, 8 * numbers(name, at))


def test_the_counter_counts() -> None:
    """A product, a factorisation, a solve, a change in place; a view is nothing."""
    a = torch.eye(4, dtype=torch.float64).expand(2, 4, 4).contiguous()
    with Counter() as counter:
        a.mT.unsqueeze(0)
        assert counter.operations == 0
        product = a @ a
        assert (counter.operations, counter.flops, counter.bytes) == (1, 2 * 2 * 4**3, 2 * 16 * 8)
        factor = torch.linalg.cholesky_ex(product).L
        torch.cholesky_solve(a[..., :3], factor)
        product.mul_(2.0)
    assert counter.operations == 4
    assert counter.flops == pytest.approx(2 * (2 * 4**3 + 4**3 / 3 + 2 * 4**2 * 3))


def test_what_exceeds_its_formula_is_named_with_both_numbers() -> None:
    with pytest.raises(AssertionError, match="kfac: flops counted 1060, by the formula 1000"):
        below("kfac", "flops", 1060, 1000)
    with pytest.raises(AssertionError, match="sgd: operations counted 3, then 4"):
        same("sgd", "operations", 3, 4)
