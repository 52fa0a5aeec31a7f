"""What is measured of a single-index network: a function a metric, of what one run has learnt.

Fresh samples measure it, and the original coordinates x: where the network transforms its inputs by T,
its map is G T.
"""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from layerwise.data.single_index import Instance
from layerwise.metrics.fresh import Fresh
from layerwise.metrics.ridge import Ridge, validated_ridge
from layerwise.metrics.singular import Singular, cosine, leading_singular
from layerwise.networks.activations import ACTIVATIONS, mean_and_scale
from layerwise.networks.inputs import INPUTS, Inputs
from layerwise.settings.tasks.single_index import SingleIndexTask

# Leading singular values that ``singular_values`` records (ours).
SINGULAR_VALUES = 20


class Bench:
    """The fresh samples of one seed as a network, by its name, sees them. Batch-norms take the statistics
    of the refit's sample."""

    def __init__(
        self,
        task: SingleIndexTask,
        network: str,
        instance: Instance,
        seed: int,
        fresh: Fresh | None = None,
    ) -> None:
        """``fresh`` are the seed's samples, which are drawn where they are not given."""
        self.instance, self.fresh = instance, fresh or Fresh(task, instance, seed)
        self._activation = ACTIVATIONS[task.activation]
        self._normalises_hidden = network == "bn_hidden"
        self._sizes = self.fresh.sizes
        self._reaching = INPUTS[network]

    @cached_property
    def _inputs(self) -> Inputs:
        return self._reaching(self.fresh.x[: self._sizes[0]], self.instance)

    @cached_property
    def _x(self) -> Tensor:
        """The samples as they reach the first layer."""
        return self._inputs.reaching(self.fresh.x)

    def features(self, layer: Tensor) -> tuple[Tensor, ...]:
        """sigma(G x) on the samples of the fit, the choice, the validation and the test."""
        hidden = self._x @ layer.mT
        if self._normalises_hidden:
            mean, scale = mean_and_scale(hidden[: self._sizes[0]], 0)
            hidden = (hidden - mean) * scale
        return self._activation.value(hidden).split(self._sizes)

    def on_original(self, rows: Tensor) -> Tensor:
        """rows T: the map of x that rows of the first layer are."""
        return self._inputs.transform(rows)


class Learnt:
    """One run: G (width, d) and f (width,) now, and the seed's bench. Each part is computed once."""

    def __init__(self, layer: Tensor, head: Tensor, bench: Bench) -> None:
        self._layer, self.head, self.bench = layer, head, bench
        self.instance = bench.instance

    @cached_property
    def before(self) -> Tensor:
        """The map of x at the start."""
        return self.bench.on_original(self.instance.features)

    @cached_property
    def change(self) -> Tensor:
        """The map's change since the start."""
        return self.bench.on_original(self._layer - self.instance.features)

    @cached_property
    def update(self) -> Singular:
        """Singular values and top right singular vector of the change."""
        return leading_singular(self.change, SINGULAR_VALUES)

    @cached_property
    def features(self) -> tuple[Tensor, ...]:
        """As :meth:`Bench.features`."""
        return self.bench.features(self._layer)

    @cached_property
    def ridge(self) -> Ridge | None:
        """The refitted readout; None where features are beyond the precision's range."""
        fit, choice = self.features[:2]
        if not bool(fit.square().sum().isfinite()):
            return None
        return validated_ridge(fit, self.bench.fresh.labels[0], choice, self.bench.fresh.labels[1])

    def refitted_error(self, sample: int) -> Tensor | float:
        """The refitted readout's error on a sample of :meth:`Bench.features`; infinite without one."""
        if self.ridge is None:
            return torch.inf
        return self.bench.fresh.error(
            self.ridge.predict(self.features[sample]), self.bench.fresh.clean[sample]
        )


Value = Tensor | float


def _of_change(metric: Callable[[Learnt], Value]) -> Callable[[Learnt], Value]:
    """NaN where nothing has changed."""
    return lambda run: metric(run) if bool(run.change.any()) else torch.nan


def alignment(run: Learnt) -> Value:
    """|cosine| of beta with the change's top right singular vector."""
    return abs(cosine(run.update.top, run.instance.direction))


def alignment_readout(run: Learnt) -> Value:
    """Cosine of beta with change^T f, what the step learnt through the readout of the start."""
    return cosine(run.instance.readout @ run.change, run.instance.direction)


def cosine_biased(run: Learnt) -> Value:
    """|cosine| of Sigma_x beta with the change's top right singular vector."""
    biased = run.instance.times_covariance_power(run.instance.direction, 1.0)
    return abs(cosine(run.update.top, biased))


def cosine_bias(run: Learnt) -> Value:
    """Cosine of what the step learnt through the readout of the start with the part of Sigma_x beta that
    is orthogonal to beta, as signed as its cosine with beta is; NaN where beta is an eigenvector."""
    beta = run.instance.direction
    biased = run.instance.times_covariance_power(beta, 1.0)
    rest = biased - (biased @ beta) / (beta @ beta) * beta
    learnt = run.instance.readout @ run.change
    if not bool(rest.norm() > 1e-6 * biased.norm()):
        return torch.nan
    return cosine(learnt, rest) * (1 if cosine(learnt, beta) >= 0 else -1)


def spike_ratio(run: Learnt) -> Value:
    """sigma_1 / sigma_2 of the change; a matrix of one row or column has no second."""
    values = run.update.values
    return values[0] / values[1] if len(values) > 1 else torch.inf


# Metrics of one run, by name; NaN where they say nothing.
METRICS: dict[str, Callable[[Learnt], Value]] = {
    "alignment": _of_change(alignment),
    "alignment_readout": _of_change(alignment_readout),
    "cosine_biased": _of_change(cosine_biased),
    "cosine_bias": _of_change(cosine_bias),
    "spike_ratio": _of_change(spike_ratio),
    "validation_error": lambda run: run.refitted_error(2),
    "test_error": lambda run: run.refitted_error(3),
    "network_error": lambda run: run.bench.fresh.error(
        run.features[3] @ run.head, run.bench.fresh.clean[3]
    ),
    "test_error_linear": lambda run: run.bench.fresh.error_linear,
    "test_error_ridge": lambda run: run.bench.fresh.error_ridge,
    "test_error_oracle": lambda run: run.bench.fresh.error_oracle,
    "noise_floor": lambda run: run.bench.fresh.noise_floor,
}


def singular_values(run: Learnt) -> dict[str, Tensor]:
    """The leading singular values of the first layer's change, of it before, and of it now: up to
    SINGULAR_VALUES each."""
    after = run.before + run.change
    return {
        "update": run.update.values,
        "before": leading_singular(run.before, SINGULAR_VALUES).values,
        "after": leading_singular(after, SINGULAR_VALUES).values,
    }


# Metrics of several columns: NAME_1, NAME_2, … for each name of what they return.
SEQUENCES: dict[str, Callable[[Learnt], dict[str, Tensor]]] = {"singular_values": singular_values}
