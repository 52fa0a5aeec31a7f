"""A multi-index teacher: y = A link(B x) + noise, x ~ N(0, Sigma_x) with mean eigenvalue one.

The r rows of B have b^T Sigma_x b = 1, so that every index is N(0, 1). Either B Sigma_x^(1/2) is a Haar
matrix of orthonormal rows: the task in u = Sigma_x^(-1/2) x is then the same at every condition number,
and only the coordinates in which a student sees it differ. Or B itself is such a matrix up to the rows'
lengths: the teacher then looks mostly at the directions of large variance. A is a Haar matrix of
orthonormal columns (rows, where it has more columns) times a number by which the outputs' mean variance
is one. The new teacher has the same B and an A of its own.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from layerwise.data.covariance import eigenbasis, haar, spectrum
from layerwise.data.streams import generator
from layerwise.data.students import Batch, Coordinates, FixedBatches
from layerwise.settings.tasks.teacher_student import TeacherStudentTask
from layerwise.theory.links import named

# Nodes of the quadrature for the link's variance; exact for smooth links, within 0.2 % with a kink.
NODES = 200


class Teacher(NamedTuple):
    """One seed's truth: Sigma_x, B (r, d_x), A (d_y, r), and the new teacher's A."""

    covariance: Coordinates
    directions: Tensor
    head: Tensor
    new_head: Tensor

    @property
    def subspace(self) -> Tensor:
        """Orthonormal rows (r, d_x) that span the directions in u = Sigma_x^(-1/2) x."""
        rows = self.covariance.times_covariance_power(self.directions, 0.5)
        return torch.linalg.qr(rows.mT).Q.mT


class Sample(NamedTuple):
    """One seed's inputs x (n, d_x), and the noise-free outputs and labels (n, d_y)."""

    x: Tensor
    clean: Tensor
    labels: Tensor


@cache  # its many nodes take longer than a teacher
def link_variance(link: str) -> float:
    """Var link(z) for z ~ N(0, 1), by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    values = named(link)(nodes)
    mean, square = (float(weights @ v) / math.sqrt(2 * math.pi) for v in (values, values**2))
    return square - mean**2


def draw_teacher(
    task: TeacherStudentTask, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Teacher:
    """One seed's teacher."""
    d, r = task.d_x, task.rank

    def tensor(array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=device)

    vectors = None
    if task.basis == "rotated":
        vectors = eigenbasis(task.basis, d, generator("eigenbasis", seed))
    values = spectrum(task.spectrum, d, task.kappa_x)
    basis = np.eye(d) if vectors is None else vectors
    rows = haar(generator("teacher directions", seed), d, r).T
    if task.directions == "whitened":
        rows = (rows @ basis / np.sqrt(values)) @ basis.T
    rows = rows / np.sqrt(((rows @ basis) ** 2 * values).sum(axis=1))[:, None]
    scale = math.sqrt(task.d_y / min(task.d_y, r) / link_variance(task.link))
    return Teacher(
        Coordinates(tensor(values), None if vectors is None else tensor(vectors)),
        tensor(rows),
        tensor(scale * _head(generator("teacher head", seed), task.d_y, r)),
        tensor(scale * _head(generator("new teacher's head", seed), task.d_y, r)),
    )


def _head(stream: np.random.Generator, d_y: int, r: int) -> np.ndarray:
    return haar(stream, d_y, r) if d_y >= r else haar(stream, r, d_y).T


class SampleStream:
    """Samples of one seed and purpose, one after the other: fewer of them are the first of more."""

    def __init__(self, task: TeacherStudentTask, teacher: Teacher, purpose: str, seed: int) -> None:
        self._task, self._teacher = task, teacher
        self._inputs = generator(f"teacher inputs, {purpose}", seed)
        self._noise = generator(f"teacher noise, {purpose}", seed)

    def next(self, n: int, new: bool = False, isotropic: bool = False) -> Sample:
        """The next n: of the new teacher, or with Sigma_x = I, where each row of B is rescaled so that its
        index is N(0, 1) again."""
        teacher, task = self._teacher, self._task
        like = teacher.directions
        x = torch.as_tensor(self._inputs.standard_normal((n, task.d_x))).to(like)
        noise = torch.as_tensor(self._noise.standard_normal((n, task.d_y))).to(like)
        directions = teacher.directions
        if isotropic:
            directions = directions / directions.norm(dim=1, keepdim=True)
        else:
            values, vectors = teacher.covariance
            x = x * values.sqrt()
            x = x if vectors is None else x @ vectors.mT
        index, head = x @ directions.mT, teacher.new_head if new else teacher.head
        clean = torch.as_tensor(named(task.link)(index.cpu().numpy())).to(like) @ head.mT
        return Sample(x, clean, clean + task.noise * noise)


class FreshBatches:
    """New samples of every seed for each step."""

    def __init__(
        self, task: TeacherStudentTask, teachers: Sequence[Teacher], seeds: Sequence[int]
    ) -> None:
        each = zip(teachers, seeds, strict=True)
        self._streams = [SampleStream(task, teacher, "training", seed) for teacher, seed in each]
        self._size = task.batch_size

    def next(self) -> Batch:
        """The next batch."""
        samples = [stream.next(self._size) for stream in self._streams]
        return Batch(
            *(torch.stack([getattr(s, part) for s in samples]) for part in ("x", "labels"))
        )


def training_batches(
    task: TeacherStudentTask, teachers: Sequence[Teacher], seeds: Sequence[int]
) -> FreshBatches | FixedBatches:
    """The batches of a run: of new samples, or of ``n_train`` ones."""
    if task.n_train is None:
        return FreshBatches(task, teachers, seeds)
    all_at_once = task.model_copy(update={"batch_size": task.n_train})
    sample = FreshBatches(all_at_once, teachers, seeds).next()
    return FixedBatches(sample, task.batch_size, seeds)
