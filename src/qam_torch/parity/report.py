"""Result of replaying a recorded case."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from torch import Tensor

from qam_torch.types import QamError

__all__ = ["TOLERANCE", "Report"]

TOLERANCE = 1e-8


class Report:
    """Collects relative errors by group, and records which of the file's arrays have been read.

    Args:
        arrays: arrays of the file, by key.
    """

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.errors: dict[str, float] = defaultdict(float)
        self.seen: set[str] = {"case_json"}

    def take(self, key: str) -> np.ndarray:
        """Return an array and mark it as read.

        Raises:
            QamError: the file has no such array.
        """
        if key not in self.arrays:
            raise QamError(f"the case lacks '{key}': record it again, or give a complete file")
        self.seen.add(key)
        return self.arrays[key]

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """Return all arrays whose key starts with a prefix, and mark them as read. Their names omit the prefix."""
        keys = [key for key in self.arrays if key.startswith(prefix)]
        return {key.removeprefix(prefix): self.take(key) for key in keys}

    def check(self, group: str, key: str, value: Any) -> None:
        """Compare a computed value with the recorded array, and mark the array as read.

        Args:
            group: group of the error.
            key: key of the recorded array.
            value: computed tensor, array or number with as many elements as the recorded array.

        Raises:
            QamError: the array is missing, or the numbers of elements differ.
        """
        expected = np.asarray(self.take(key), dtype=np.float64)
        got = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=np.float64)
        if got.size != expected.size:
            raise QamError(f"'{key}' has shape {expected.shape} but the replay gives {got.shape}: sizes do not match")
        self.compare(group, got, expected)

    def compare(self, group: str, got: np.ndarray, expected: np.ndarray) -> None:
        """Update a group's largest relative error with the error between two arrays of equal size."""
        scale = np.abs(expected).max(initial=0.0)
        error = np.abs(got.reshape(expected.shape) - expected).max(initial=0.0) / (scale if scale > 0 else 1.0)
        # A NaN in either array counts as an infinite error.
        self.errors[group] = max(self.errors[group], float(error) if np.isfinite(error) else float("inf"))

    @property
    def unchecked(self) -> list[str]:
        """Arrays of the file that were not read."""
        return sorted(set(self.arrays) - self.seen)

    def passed(self, tolerance: float = TOLERANCE) -> bool:
        """Return whether something was checked, every error is within the tolerance, and every array was read."""
        return bool(self.errors) and max(self.errors.values()) <= tolerance and not self.unchecked
