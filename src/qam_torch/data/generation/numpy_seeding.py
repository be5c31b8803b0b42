"""Seed numpy's global generator, from which OGBench draws, so that one SeedSequence determines an episode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

__all__ = ["integer_seed", "numpy_seeded"]


def integer_seed(seed: np.random.SeedSequence) -> int:
    """Convert a SeedSequence to an integer seed in [0, 2^31), as gymnasium requires."""
    return int(seed.generate_state(1)[0] >> 1)


@contextlib.contextmanager
def numpy_seeded(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed numpy's global generator for the block, and restore its state afterwards."""
    before = np.random.get_state()
    np.random.seed(seed.generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)
