"""What is measured of a student: how far it is from the teacher, and what its features are worth.

Errors are E|f(x) - clean|^2 over the variance of the noise-free outputs: what is left over the noise.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layerwise.data.students import Batch
from layerwise.data.teacher import Sample, SampleStream, Teacher
from layerwise.metrics.heads import predicted, ridge_readout
from layerwise.networks.base import Layers
from layerwise.networks.mlp import MLP, MLPView, Prepared
from layerwise.settings.tasks.teacher_student import TeacherStudentTask


class Held(NamedTuple):
    """A sample of some seeds as their network sees it, and its noise-free outputs (S, d_y, n)."""

    prepared: Prepared
    clean: Tensor


class Samples:
    """The fresh samples of some seeds, drawn when they are first asked for, once for all networks:
    "validation", "test", "transfer" and "transfer, isotropic". Those of a transfer are n_transfer labelled
    ones, n_choice that choose the ridge's strength, and n_test."""

    def __init__(
        self, task: TeacherStudentTask, teachers: Sequence[Teacher], seeds: Sequence[int]
    ) -> None:
        self.task, self.teachers, self._seeds = task, teachers, seeds
        self._drawn: dict[str, Sample] = {}

    def sample(self, name: str) -> Sample:
        """Of all seeds: x (S, n, d_x), and noise-free outputs and labels (S, n, d_y)."""
        if name not in self._drawn:
            drawn = [
                self._draw(name, SampleStream(self.task, teacher, name, seed))
                for teacher, seed in zip(self.teachers, self._seeds, strict=True)
            ]
            self._drawn[name] = Sample(*(torch.stack(part) for part in zip(*drawn, strict=True)))
        return self._drawn[name]

    def _draw(self, name: str, stream: SampleStream) -> Sample:
        task = self.task
        if name in ("validation", "test"):
            return stream.next(task.n_validation if name == "validation" else task.n_test)
        size = task.n_transfer + task.n_choice + task.n_test
        return stream.next(size, new=True, isotropic=name == "transfer, isotropic")


class Bench:
    """What a network is measured on. Batch-norms take each sample's own statistics."""

    def __init__(self, samples: Samples, network: MLP) -> None:
        self.task, self._samples, self._network = samples.task, samples, network
        self._held: dict[str, Held] = {}
        self._views: tuple[Layers, dict[str, MLPView]] = (), {}
        self.covariances = [teacher.covariance for teacher in samples.teachers]
        self.subspaces = torch.stack([teacher.subspace for teacher in samples.teachers])

    def sample(self, name: str) -> Held:
        """A sample by its name."""
        if name not in self._held:
            x, clean, labels = self._samples.sample(name)
            prepared = self._network.prepared(Batch(x, labels))
            self._held[name] = Held(prepared, clean.mT.contiguous())
        return self._held[name]

    def view(self, name: str, weights: Layers) -> MLPView:
        """The network at weights on a sample, the same for all metrics of these weights."""
        if self._views[0] is not weights:
            self._views = weights, {}
        views = self._views[1]
        if name not in views:
            views[name] = self._network.on(self.sample(name).prepared, weights)
        return views[name]


def relative_error(prediction: Tensor, clean: Tensor) -> Tensor:
    """E|prediction - clean|^2 over the outputs' total variance on the sample, (S, V), for a prediction
    (S, V, d_y, n) and noise-free outputs (S, d_y, n); infinite beyond the precision's range."""
    variance = clean.var(dim=-1, correction=0).mean(dim=-1)[:, None]
    error = (prediction - clean[:, None]).square().mean(dim=(-2, -1)) / variance
    return torch.where(error.isfinite(), error, torch.inf)


def _own_error(name: str) -> Callable[[MLPView, Bench], Tensor]:
    def error(view: MLPView, bench: Bench) -> Tensor:
        return relative_error(bench.view(name, view.weights).prediction, bench.sample(name).clean)

    return error


def subspace_gap(view: MLPView, bench: Bench) -> Tensor:
    """1 - |U B^T|^2 / r, the mean squared sine of the principal angles, where B spans the teacher's
    directions and U the top r eigenvectors of the average gradient outer product E (df/du)^T (df/du), both
    in u = Sigma_x^(-1/2) x."""
    test = bench.view("test", view.weights)
    rows = test.batch.on_original(view.weights[0][..., :-1])
    rows = torch.stack(
        [
            covariance.times_covariance_power(own, 0.5)
            for covariance, own in zip(bench.covariances, rows, strict=True)
        ]
    )
    product = (rows.mT @ test.output_moment(0) @ rows).double()
    finite = product.isfinite().all(dim=-1).all(dim=-1)[..., None, None]
    product = torch.where(finite, product, 0.0)
    top = torch.linalg.eigh(product).eigenvectors[..., -bench.task.rank :]
    shared = bench.subspaces.double()[:, None] @ top
    return (1 - shared.square().sum(dim=(-2, -1)) / bench.task.rank).to(view.weights[0])


def _transferred(name: str) -> Callable[[MLPView, Bench], Tensor]:
    """The error on the new teacher of a ridge readout on the last hidden layer."""

    def error(view: MLPView, bench: Bench) -> Tensor:
        task, sample = bench.task, bench.sample(name)
        sizes = [task.n_transfer, task.n_choice, task.n_test]
        fit, choice, test = bench.view(name, view.weights).features.split(sizes, dim=-1)
        targets, held_out, _ = sample.prepared.y[:, None].split(sizes, dim=-1)
        readout = ridge_readout(fit, targets, choice, held_out)
        return relative_error(predicted(readout, test), sample.clean[..., -task.n_test :])

    return error


METRICS: Mapping[str, Callable[[MLPView, Bench], Tensor]] = {
    "train_loss": lambda view, bench: view.loss,
    "validation_error": _own_error("validation"),
    "test_error": _own_error("test"),
    "subspace_gap": subspace_gap,
    "transfer_error": _transferred("transfer"),
    "transfer_error_isotropic": _transferred("transfer, isotropic"),
}
