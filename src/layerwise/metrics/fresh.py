"""The fresh samples of one seed, which all networks and methods are measured on."""

from functools import cached_property, partial

import torch
from torch import Tensor

from layerwise.data.single_index import Instance, Sample, draw_fresh
from layerwise.metrics.ridge import validated_ridge
from layerwise.settings.tasks.single_index import SingleIndexTask

# Biases of the oracle's features, in units of beta^T x (ours).
ORACLE_BIASES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


class Fresh:
    """Samples for the refit, the choice of its strength, the validation and the test, one after the other
    in ``x``, in the original coordinates; ``sizes`` tell them apart.

    Of the samples held out for validation, the first ``n_choice`` choose the strength of a refitted ridge
    readout, and the others measure ``validation_error``: the test sample selects nothing. Errors are
    E(y - prediction)^2 / Var(y) of each sample, the label noise in both, added exactly and not sampled.
    What no network has a part in is computed once, and nothing is drawn before it is asked for: after one
    step it may be the direction alone that is measured.
    """

    def __init__(self, task: SingleIndexTask, instance: Instance, seed: int) -> None:
        self.instance, self._noise = instance, task.noise
        self.sizes = [task.n, task.n_choice, task.n_validation, task.n_test]
        self._draw = partial(draw_fresh, task, instance, seed)

    @cached_property
    def _drawn(self) -> list[Sample]:
        """For the refit, what is held out, and the test; inputs in the eigenbasis of Sigma_x."""
        return self._draw()

    @cached_property
    def x(self) -> Tensor:
        return self.instance.from_eigenbasis(torch.cat([part.inputs for part in self._drawn]))

    @cached_property
    def labels(self) -> tuple[Tensor, ...]:
        return torch.cat([part.labels for part in self._drawn[:2]]).split(self.sizes[:3])

    @cached_property
    def clean(self) -> tuple[Tensor, ...]:
        return torch.cat([part.clean for part in self._drawn]).split(self.sizes)

    def error(self, prediction: Tensor, clean: Tensor) -> Tensor:
        """Infinity where the prediction is beyond the precision's range."""
        excess = (prediction - clean).square().mean() + self._noise**2
        error = excess / (clean.var(correction=0) + self._noise**2)
        return torch.where(error.isfinite(), error, torch.inf)

    @cached_property
    def noise_floor(self) -> Tensor:
        """The share of the noise in the test sample's variance."""
        return self._noise**2 / (self.clean[3].var(correction=0) + self._noise**2)

    @cached_property
    def error_linear(self) -> Tensor:
        """Test error of the best multiple of beta^T x plus a constant."""
        index = self._drawn[2].inputs @ self.instance.to_eigenbasis(self.instance.direction)
        correlation = torch.corrcoef(torch.stack([index, self.clean[3]]))[0, 1]
        return self.noise_floor + (1 - correlation**2) * (1 - self.noise_floor)

    @cached_property
    def error_ridge(self) -> Tensor:
        """Test error of ridge regression on the inputs themselves."""
        return self._refitted(self.x)

    @cached_property
    def error_oracle(self) -> Tensor:
        """Test error of a ridge readout on features of the true direction, max(+-beta^T x + b, 0)."""
        index = (self.x @ self.instance.direction)[:, None]
        biases = index.new_tensor(ORACLE_BIASES)
        return self._refitted(torch.cat([index + biases, biases - index], dim=1).clamp(min=0))

    def _refitted(self, features: Tensor) -> Tensor:
        """Test error of a ridge readout on features of all samples."""
        fit, choice, _, test = features.split(self.sizes)
        ridge = validated_ridge(fit, self.labels[0], choice, self.labels[1])
        return self.error(ridge.predict(test), self.clean[3])
