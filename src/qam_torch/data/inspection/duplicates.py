"""Find rows and episodes that occur more than once in data files. They are compared as float32, byte by byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

__all__ = ["common_rows", "repeated_episodes"]

Rows = tuple[np.ndarray, np.ndarray]

_ROWS_AT_ONCE = 1 << 16


def common_rows(data: Rows, other: Rows) -> int:
    """Count the rows of one file that are also in another.

    Args:
        data: observations (rows, O) and actions (rows, A).
        other: observations and actions of the other file, with the same O and A.

    Returns:
        The number of rows of `data` that occur in `other`.
    """
    known = set(_row_bytes(*other))
    return sum(row in known for row in _row_bytes(*data))


def repeated_episodes(data: Rows, ends: np.ndarray) -> list[tuple[int, int]]:
    """Find episodes that equal an earlier episode in every row.

    Args:
        data: observations (rows, O) and actions (rows, A).
        ends: (episodes,), index of the row after each episode's last row. Episodes of one row are ignored.

    Returns:
        One pair per repeated episode: (index of its first occurrence, index of the repetition).
    """
    first: dict[bytes, int] = {}
    repeated: list[tuple[int, int]] = []
    rows, start = _row_bytes(*data), 0
    for episode, end in enumerate(ends):
        digest = hashlib.blake2b(digest_size=16)
        for _ in range(start, end):
            digest.update(next(rows))
        if end - start > 1 and (earlier := first.setdefault(digest.digest(), episode)) != episode:
            repeated.append((earlier, episode))
        start = end
    return repeated


def _row_bytes(observations: np.ndarray, actions: np.ndarray) -> Iterator[bytes]:
    """Yield each row's observation and action as bytes of float32. Adding 0 makes -0 and 0 equal."""
    width = 4 * (observations.shape[1] + actions.shape[1])
    for start in range(0, len(observations), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        with np.errstate(over="ignore", invalid="ignore"):  # another check reports numbers beyond float32
            joined = np.concatenate([observations[part], actions[part]], axis=1).astype(np.float32) + np.float32(0)
        data = joined.tobytes()
        yield from (data[i : i + width] for i in range(0, len(data), width))
