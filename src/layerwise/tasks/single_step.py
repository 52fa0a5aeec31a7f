"""One step on the first layer of f(x) = f^T sigma(G x), and what it learnt.

The gradient is the network's own, of the loss 0.5 mean (y - f(x))^2 on n samples, in closed form
(arXiv 2502.01763, Section 3.2; for the limit of the alignments see Theorem 3.9). An update is the
change of G of a unit step, descent included. Where the network transforms its inputs by T, what is
returned, measured and compared is the change of the map G T of the original coordinates x.

Step sizes have one meaning for every method: with step size eta the preactivations G T x change, in
root mean square over the population's x and the units, by eta times what they are at the start.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.single_index import (
    Inputs,
    Instance,
    OneStepProblem,
    Start,
    draw_fresh,
    draw_instance,
    draw_sample,
    known,
    raw_inputs,
    standardised_inputs,
    whitened_inputs,
)
from layerwise.metrics.ridge import (
    ACTIVATIONS,
    Refit,
    Spike,
    cosine,
    leading_singular,
    measured_spike,
)

ADAM_EPSILON = 1e-8  # torch.optim.Adam
MAX_GAUSS_NEWTON_SAMPLES = 4096  # its system's matrix then takes 128 MiB

COLUMNS = (
    "damping",
    "lr",
    "seed",
    "alignment_direction",
    "alignment_update",
    "spike_ratio",
    "test_error",
    "test_error_random_features",
    "test_error_linear",
    "noise_floor",
)


def sgd(start: Start, damping: float) -> Tensor:
    """Minus the gradient."""
    return start.descent


def kfac(start: Start, damping: float) -> Tensor:  # damping: lambda_G in Eq. 5
    """Minus the gradient times (X^T X / n + lambda I)^-1. P_G = f f^T, of rank one, is left out."""
    return start.second_moment.solve(start.rotated_descent, damping)


def adam(start: Start, damping: float) -> Tensor:
    """Adam's first step: with its bias corrections, minus the gradient over |gradient| + epsilon."""
    return start.descent / (start.descent.abs() + ADAM_EPSILON)


def spectral(start: Start, damping: float) -> Tensor:
    """Exact spectral descent, U V^T of the descent: also the first step of Muon and of Shampoo."""
    u, _, vh = torch.linalg.svd(start.descent, full_matrices=False)
    return u @ vh


def gauss_newton(start: Start, damping: float) -> Tensor:
    """The exact Gauss-Newton step on G alone, by the n x n system of the samples.

    It is (J^T J / n + damping |f|^2 I)^-1 J^T r / n, with J (n, width d) the Jacobian of f(x) by G
    and r the residual. Units of |f|^2 make the damping one of Sigma_x's eigenvalues, as for KFAC,
    whatever the scale of the readout.
    """
    residual, slopes = start.residual_and_slopes()
    n = len(residual)
    kernel = (slopes @ slopes.mT).mul_(start.x @ start.x.mT).div_(n)
    kernel.diagonal().add_(damping * start.readout.square().sum())
    weight = torch.cholesky_solve(residual[:, None], torch.linalg.cholesky(kernel))
    return (slopes * weight).mT @ start.x / n


def kfac_label_direction(start: Start, damping: float) -> Tensor:
    """(X^T X / n + lambda I)^-1 X^T y / n, what KFAC learns when the readout is small."""
    moment = start.second_moment
    return moment.solve(start.label_direction @ moment.vectors, damping)


class Method(NamedTuple):
    """An update, the network that it trains, and what is known of its damping and direction."""

    update: Callable[[Start, float], Tensor]
    inputs: Callable[[Tensor, Instance], Inputs] = raw_inputs
    normalises_hidden: bool = False
    takes_damping: bool = False
    singular: bool = False  # refuses damping 0
    direction: Callable[[Start, float], Tensor] | None = None  # None: update^T f / |f|^2


METHODS = {
    "sgd": Method(sgd, direction=lambda start, _: start.label_direction),
    "kfac": Method(kfac, takes_damping=True, direction=kfac_label_direction),
    "adam": Method(adam),
    "spectral": Method(spectral),
    "gauss_newton": Method(gauss_newton, takes_damping=True, singular=True),
    "bn_hidden_sgd": Method(lambda start, _: start.normalised_descent(), normalises_hidden=True),
    "bn_input_sgd": Method(sgd, inputs=standardised_inputs),
    "whitened_sgd": Method(sgd, inputs=whitened_inputs),
}


class OneStep:
    """One seed's step of one method.

    ``before`` and what ``change`` returns, shape (width, d), act on the original coordinates x.
    """

    def __init__(
        self, problem: OneStepProblem, method: str, seed: int, dtype: torch.dtype, device: str
    ) -> None:
        self.problem, self.seed = problem, seed
        self.method, self.instance = METHODS[method], draw_instance(problem, seed, dtype, device)
        sample = draw_sample(problem, self.instance, "step", problem.n, seed)
        x = self.instance.from_eigenbasis(sample.inputs)
        self.inputs = self.method.inputs(x, self.instance)
        x = self.inputs.transform(x if self.inputs.shift is None else x - self.inputs.shift)
        weights, activation = self.instance[-2:], ACTIVATIONS[problem.activation]
        self.start = Start(x, sample.labels, *weights, activation)
        self.before = self.inputs.transform(self.start.features)

    def change(self, damping: float) -> Tensor:
        """The unit step's change of the first layer."""
        return self.inputs.transform(self.method.update(self.start, damping))

    def direction(self, change: Tensor, damping: float) -> Tensor:
        """What the step learnt, shape (d,): for SGD and KFAC the rule on the labels themselves, for
        others change^T f / |f|^2, the same but for the residual's and the slopes' part in it."""
        if self.method.direction is not None:
            return self.method.direction(self.start, damping)
        return self.start.readout @ change / self.start.readout.square().sum()

    def scaled(self, change: Tensor) -> Tensor:
        """The change of step size one: it moves G x by as much as G x is, in root mean square."""
        return change * (self.instance.power(self.before) / self.instance.power(change)).sqrt()

    def refit(self) -> Refit:
        """What turns changes of the first layer into test errors."""
        samples = draw_fresh(self.problem, self.instance, self.seed)
        if self.inputs.shift is not None:
            shift = self.instance.to_eigenbasis(self.inputs.shift)
            samples = [one._replace(inputs=one.inputs - shift) for one in samples]
        before, activation = self.instance.to_eigenbasis(self.before), self.start.activation
        normalised = self.method.normalises_hidden
        return Refit(samples, before, activation, normalised, self.problem.noise)


def spike(
    problem: OneStepProblem,
    method: str,
    damping: float,
    step_size: float,
    seed: int,
    count: int = 20,
) -> Spike:
    """The spike that one step adds to the first layer. Raises ValueError as ``run_one_step``."""
    _refuse(problem, method, [damping], [step_size])
    step = OneStep(problem, method, seed, torch.float64, "cpu")
    change, beta = step.scaled(step.change(damping)), step.instance.direction
    biased = step.instance.times_covariance_power(beta, 1.0)
    return measured_spike(step.before, change, step_size, beta, biased, count)


def run_one_step(
    problem: OneStepProblem,
    method: str,
    dampings: Sequence[float],
    step_sizes: Sequence[float],
    seeds: Sequence[int],
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> dict[str, list[float]]:
    """Columns ``COLUMNS``, one row for each (damping, step size, seed), sorted so.

    Seeds are run one by one, so that a seed's numbers do not depend on the others and memory does
    not grow with their number. ``dampings`` is empty (or [0]) for methods without damping, whose rows
    have damping 0; step sizes may be empty, for alignments alone: one row with lr and test error NaN.

    alignment_direction is signed, alignment_update is not; spike_ratio is sigma_1 / sigma_2 of the
    update. Errors are E(y - prediction)^2 / Var(y), the noise in both; noise_floor is the share of
    the noise. test_error_random_features is that of the method's own network at step size 0, and
    test_error_linear that of the best linear predictor of the population.

    Raises ValueError, with one sentence, for an unknown method (with the nearest), dampings that
    the method does not take, negative step sizes, and a Gauss-Newton system that is too large.
    """
    _refuse(problem, method, dampings, step_sizes)
    if not seeds:
        raise ValueError("seeds = [] is not allowed: at least one is needed")
    rows: list[tuple[float, ...]] = []
    for seed in seeds:
        # No name for the step: the next seed's would be built beside it.
        rows += _rows(OneStep(problem, method, seed, dtype, device), dampings or [0.0], step_sizes)
    columns = zip(*sorted(rows, key=lambda row: row[:3]), strict=True)
    return dict(zip(COLUMNS, map(list, columns), strict=True))


def _rows(
    step: OneStep, dampings: Sequence[float], step_sizes: Sequence[float]
) -> Iterator[tuple[float, ...]]:
    """The rows of one seed, as ``COLUMNS``."""
    beta, to_eigenbasis = step.instance.direction, step.instance.to_eigenbasis
    refit = None
    for damping in dampings:
        change = step.change(damping)
        values, top = leading_singular(change, 2)
        # A matrix of one row or column has no second singular value.
        ratio = float(values[0] / values[1]) if len(values) > 1 else math.inf
        direction = step.direction(change, damping)
        alignments = (cosine(direction, beta), abs(cosine(top, beta)), ratio)
        if not step_sizes:
            yield (damping, math.nan, step.seed, *alignments, *[math.nan] * 4)
            continue
        refit = refit or step.refit()
        errors = refit.errors(to_eigenbasis(step.scaled(change)), step_sizes)
        for lr, error in zip(step_sizes, errors, strict=True):
            linear = refit.error_linear(to_eigenbasis(beta))
            baselines = (refit.error_at_start, linear, refit.noise_floor)
            yield (damping, lr, step.seed, *alignments, error, *baselines)


def _refuse(
    problem: OneStepProblem, method: str, dampings: Sequence[float], step_sizes: Sequence[float]
) -> None:
    """Raise ValueError, with one sentence, for what ``run_one_step`` cannot run."""
    known("method", method, METHODS)
    rule = METHODS[method]
    if rule.takes_damping and not dampings:
        raise ValueError(f"dampings = [] is not allowed: {method} needs at least one value")
    if not rule.takes_damping and list(dampings) not in ([], [0]):
        raise ValueError(f"dampings = {list(dampings)} is not allowed: {method} has no damping")
    values = [("damping", one) for one in dampings] + [("step size", one) for one in step_sizes]
    for name, value in values:
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} = {value} is impossible: it must be finite and at least 0")
    if rule.singular and 0 in dampings:
        raise ValueError(f"damping = 0 is not allowed: {method} needs a positive one")
    if rule.update is gauss_newton and problem.n > MAX_GAUSS_NEWTON_SAMPLES:
        allowed = f"too many for {method}: at most {MAX_GAUSS_NEWTON_SAMPLES}"
        raise ValueError(
            f"aspect_ratio = {problem.aspect_ratio} makes {problem.n} samples, {allowed}"
        )
