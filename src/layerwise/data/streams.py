"""Named random streams: one generator for each purpose and seed.

A seed's numbers depend on its own value and on the purpose's name alone, so that they are the same
whether the seed runs alone or among others, and whichever method consumes them.
"""

import zlib

import numpy as np


def generator(purpose: str, seed: int) -> np.random.Generator:
    """Return the generator of stream ``purpose`` for ``seed`` (an integer >= 0)."""
    return np.random.default_rng(
        np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(purpose.encode()),))
    )
