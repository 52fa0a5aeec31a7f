"""What is measured of a network on digits: shares of labels that are wrong, on images it has not seen."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from layerwise.data.digits import Split
from layerwise.data.students import Batch
from layerwise.metrics.heads import predicted, ridge_readout
from layerwise.networks.base import Layers
from layerwise.networks.mlp import MLP, MLPView
from layerwise.settings.tasks.digits import CLASSES, DigitsTask


class Bench:
    """The images of some seeds that their networks are not trained on: those of the validation, of the
    ridge readout, of the choice of its strength, and of the test. Batch-norms take all of them for their
    statistics."""

    def __init__(self, task: DigitsTask, splits: Sequence[Split], network: MLP) -> None:
        self._network = network
        held_out = slice(task.n_train, None)
        x = torch.stack([split.x[held_out] for split in splits])
        labels = torch.stack([split.labels[held_out] for split in splits])
        self.sizes = [task.n_validation, CLASSES * task.shots, task.n_choice, task.n_test]
        self.prepared = network.prepared(Batch(x, labels))
        classes = torch.stack([split.classes[held_out] for split in splits])
        self.classes = classes.split(self.sizes, dim=-1)
        self.targets = [one_hot(part, CLASSES).mT[:, None].to(x) for part in self.classes]
        self.inputs = x.mT[:, None].split(self.sizes, dim=-1)
        self._last: tuple[Layers, MLPView] | None = None

    def view(self, weights: Layers) -> MLPView:
        """The network at weights on all of them, the same for all metrics of these weights."""
        if self._last is None or self._last[0] is not weights:
            self._last = weights, self._network.on(self.prepared, weights)
        return self._last[1]


def _labelings_error(part: int) -> Callable[[MLPView, Bench], Tensor]:
    """The share of wrong signs over the labelings, on a part of the images."""

    def error(view: MLPView, bench: Bench) -> Tensor:
        prediction = bench.view(view.weights).prediction.split(bench.sizes, dim=-1)[part]
        truth = bench.prepared.y[:, None].split(bench.sizes, dim=-1)[part]
        return (prediction.sign() != truth).to(truth).mean(dim=(-2, -1))

    return error


def _transferred(features: Sequence[Tensor], bench: Bench) -> Tensor:
    """The share of test images whose class a ridge readout on features of each part does not find."""
    _, fit, choice, test = features
    readout = ridge_readout(fit, bench.targets[1], choice, bench.targets[2])
    found = predicted(readout, test).argmax(dim=-2)
    return (found != bench.classes[3][:, None]).to(test).mean(dim=-1)


def transfer_error(view: MLPView, bench: Bench) -> Tensor:
    """Of a readout on the last hidden layer."""
    return _transferred(bench.view(view.weights).features.split(bench.sizes, dim=-1), bench)


def transfer_error_inputs(view: MLPView, bench: Bench) -> Tensor:
    """Of a readout on the inputs themselves, which no network has changed."""
    return _transferred(bench.inputs, bench)


METRICS: Mapping[str, Callable[[MLPView, Bench], Tensor]] = {
    "train_loss": lambda view, bench: view.loss,
    "validation_error": _labelings_error(0),
    "test_error": _labelings_error(3),
    "transfer_error": transfer_error,
    "transfer_error_inputs": transfer_error_inputs,
}
