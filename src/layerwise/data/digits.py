"""Handwritten digits of scikit-learn's bundled copy: splits, inputs and labelings of a seed.

Everything that is estimated of the images, their mean, deviations and principal components, is of a seed's
training images alone. A pixel that is the same in all of these stays zero.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerwise.data.covariance import eigenbasis, haar, spectrum
from layerwise.data.streams import generator
from layerwise.data.students import Coordinates
from layerwise.settings.tasks.digits import CLASSES, DigitsTask


class Split(NamedTuple):
    """One seed's images: inputs x (n, d) and classes (n,) of all, in the order training, validation, shots,
    choice, test; the inputs' covariance over the training images; and the labelings of the classes, +-1
    (10, labelings)."""

    x: Tensor
    classes: Tensor
    covariance: Coordinates
    labelings: Tensor

    @property
    def labels(self) -> Tensor:
        """+-1 of every image (n, labelings)."""
        return self.labelings[self.classes]


@cache
def images() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) from 0 to 16, and classes (1797,)."""
    from sklearn.datasets import load_digits  # optional, and slow to import

    bunch = load_digits()
    return bunch.data, bunch.target


def draw_split(
    task: DigitsTask, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Split:
    """One seed's split and labelings."""
    pixels, classes = images()
    order = _order(task, classes, generator("digits split", seed))
    x, values, vectors = _inputs(task, pixels[order], seed)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    return Split(
        tensor(x),
        torch.as_tensor(classes[order], device=device),
        Coordinates(tensor(values), None if vectors is None else tensor(vectors)),
        tensor(balanced_labelings(task.labelings, seed)),
    )


def balanced_labelings(count: int, seed: int) -> np.ndarray:
    """``count`` columns of five +1 and five -1 (10, count), no two the same up to sign."""
    stream = generator("digits labelings", seed)
    found: dict[tuple[float, ...], np.ndarray] = {}
    while len(found) < count:
        labels = stream.permutation(np.repeat([1.0, -1.0], CLASSES // 2))
        found.setdefault(tuple(labels * labels[0]), labels)
    return np.stack(list(found.values()), axis=1)


def _order(task: DigitsTask, classes: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Places of the images: training and validation ones, then ``shots`` of each class, then the rest."""
    order = stream.permutation(len(classes))
    head, rest = np.split(order, [task.n_train + task.n_validation])
    of_class = [rest[classes[rest] == digit][: task.shots] for digit in range(CLASSES)]
    shots = np.concatenate(of_class)
    return np.concatenate([head, shots, rest[~np.isin(rest, shots)]])


def _inputs(
    task: DigitsTask, pixels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Inputs, and eigenvalues and eigenvectors of their covariance over the training images; the mean
    variance of a coordinate that varies is one."""
    train = pixels[: task.n_train]
    x = pixels - train.mean(axis=0)
    deviation = train.std(axis=0)
    if task.inputs == "standardised":
        x = x / np.where(deviation > 0, deviation, 1.0)
    elif task.inputs == "pixels":
        x = x / math.sqrt((deviation[deviation > 0] ** 2).mean())
    values, vectors = np.linalg.eigh(x[: task.n_train].T @ x[: task.n_train] / task.n_train)
    if task.components is None:
        return x, np.where(values > 1e-12 * values[-1], values, 0.0), vectors
    leading = slice(-1, -task.components - 1, -1)
    whitened = x @ vectors[:, leading] / np.sqrt(values[leading])
    # Which variance a component gets is chance: else the leading ones, which tell the classes apart, would
    # have the largest, and a large condition number would help.
    turned = whitened @ haar(generator("digits mixing", seed), task.components, task.components)
    values = spectrum(task.spectrum, task.components, task.kappa_x)
    mixed = turned * np.sqrt(values)
    if task.basis == "axis":
        return mixed, values, None
    basis = eigenbasis(task.basis, task.components, generator("eigenbasis", seed))
    return mixed @ basis.T, values, basis
