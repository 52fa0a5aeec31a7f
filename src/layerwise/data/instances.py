"""Problem instances of linear representation learning: ground truths and initial weights.

The model is y = F* G* x + eps (Section 3.1 of the paper). One file holds all problems of an experiment,
each with all its seeds; every method starts from it.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from layerwise.data.covariance import Array, eigenbasis, haar, spectrum
from layerwise.data.streams import generator
from layerwise.results.files import FileError, atomic_path, made_anew, unreadable
from layerwise.settings.tasks.linear_representation import LinearProblem


@dataclass(frozen=True)
class Instances:
    """Ground truths and initial weights of S seeds, float64.

    Shapes: seeds (S,); eigenvalues (d_x,) and eigenvectors (S, d_x, d_x, as columns) of Sigma_x, and
    the same of the transfer task; features_true G* (S, k, d_x) with orthonormal rows; head_true F*
    and head_transfer (S, d_y, k); features_init G_0 (S, k, d_x); head_init F_0 (S, d_y, k).
    """

    seeds: np.ndarray
    eigenvalues: Array
    eigenvectors: Array
    eigenvalues_transfer: Array
    eigenvectors_transfer: Array
    features_true: Array
    head_true: Array
    head_transfer: Array
    features_init: Array
    head_init: Array


def key(instance: str) -> str:
    """The name, in a file, of the instances that the canonical JSON ``instance`` describes."""
    return hashlib.sha256(instance.encode()).hexdigest()[:16]


def save(drawn: dict[str, Instances], path: Path) -> None:
    """Write instances by their keys as an uncompressed .npz file, whole or not at all."""
    arrays = {
        f"{name}/{field.name}": getattr(one, field.name)
        for name, one in drawn.items()
        for field in fields(Instances)
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path, name: str) -> Instances:
    """Read the instances of key ``name``. Raises FileError when the file is not such a file, or holds
    others."""
    try:
        with zipfile.ZipFile(path) as file:
            if f"{name}/seeds.npy" in file.namelist():
                return Instances(
                    **{
                        field.name: _array(file, f"{name}/{field.name}.npy")
                        for field in fields(Instances)
                    }
                )
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each raise their own kind
        raise unreadable(path, "instance file", error) from error
    raise FileError(f"{path} holds no instances of this run's problem and seeds: {made_anew(path)}")


def _array(file: zipfile.ZipFile, member: str) -> Array:
    """An array of an .npz file. Its bytes are read to the end, as np.load does not: only then does
    zipfile compare their checksum."""
    array: Array = np.lib.format.read_array(io.BytesIO(file.read(member)), allow_pickle=False)
    return array


def head(rng: np.random.Generator, d_y: int, rank: int, kappa: float) -> Array:
    """F* with singular values log-spaced from 1 down to 1/kappa: shape (d_y, rank)."""
    singular_values = np.geomspace(1.0, 1.0 / kappa, rank)
    return haar(rng, d_y, rank) * singular_values @ haar(rng, rank, rank).T


def _draw_seed(task: LinearProblem, seed: int) -> dict[str, Array]:
    d_x, d_y, rank = task.d_x, task.d_y, task.rank
    vectors = eigenbasis(task.basis, d_x, generator("eigenbasis", seed))
    vectors_transfer = vectors
    if task.transfer_kappa_x is not None:
        vectors_transfer = eigenbasis(task.basis, d_x, generator("eigenbasis of transfer", seed))
    init = generator("initial weights", seed)
    return {
        "eigenvectors": vectors,
        "eigenvectors_transfer": vectors_transfer,
        "features_true": haar(generator("true features", seed), d_x, rank).T,
        "head_true": head(generator("true head", seed), d_y, rank, task.kappa_f),
        "head_transfer": head(generator("transfer head", seed), d_y, rank, task.kappa_f),
        "features_init": init.standard_normal((rank, d_x)) / np.sqrt(d_x),
        "head_init": task.head_scale * init.standard_normal((d_y, rank)) / np.sqrt(rank),
    }


def draw(task: LinearProblem, seeds: Sequence[int]) -> Instances:
    """Draw the instances of ``task`` for ``seeds``."""
    each = [_draw_seed(task, seed) for seed in seeds]
    stacked = {name: np.stack([one[name] for one in each]) for name in each[0]}
    kappa_transfer = task.kappa_x if task.transfer_kappa_x is None else task.transfer_kappa_x
    return Instances(
        seeds=np.asarray(seeds, dtype=np.int64),
        eigenvalues=spectrum(task.spectrum, task.d_x, task.kappa_x),
        eigenvalues_transfer=spectrum(task.spectrum, task.d_x, kappa_transfer),
        **stacked,
    )
