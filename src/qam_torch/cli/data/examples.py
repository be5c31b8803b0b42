"""A few episodes of a data set to look at, and a sample of all its positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from qam_torch.cli.data.scene import Scene
from qam_torch.data.inspection.statistics import episode_lengths, episode_sums
from qam_torch.data.ogbench_format import kept_rows

__all__ = ["Example", "Examples", "choose_examples"]

COUNT = 3
_SAMPLE = 200_000


class Example(NamedTuple):
    """One episode of L transitions.

    number     its place in the file, from 0
    positions  name of a body -> (L, 2) or (L, 3) in m
    rewards    (L,)
    success    (L,) bool  transitions that start in a success state
    """

    number: int
    positions: dict[str, np.ndarray]
    rewards: np.ndarray
    success: np.ndarray


class Examples(NamedTuple):
    """What a picture shows of a task: the scene, a few episodes, and every body's positions in all of the file.

    everywhere  name of a body -> (M, 2) or (M, 3), M at most 200 000, evenly taken
    """

    task: int
    scene: Scene
    episodes: list[Example]
    everywhere: dict[str, np.ndarray]


def choose_examples(
    arrays: Mapping[str, np.ndarray], rewards: np.ndarray, masks: np.ndarray, task: int, scene: Scene
) -> Examples:
    """The file's first two episodes that succeed and the first that does not, or as near to that as there are.

    arrays          raw file (see `read_npz`)
    rewards, masks  (N,) of the task on the file's transitions
    """
    rows = np.flatnonzero(kept_rows(arrays["terminals"]))
    lengths = episode_lengths(arrays["terminals"])
    solved = episode_sums(masks == 0, lengths) > 0
    starts = np.cumsum(lengths) - lengths
    chosen = []
    for number in _mixed(np.flatnonzero(solved), np.flatnonzero(~solved)):
        part = slice(starts[number], starts[number] + lengths[number])
        positions = scene.positions(arrays["observations"][rows[part]], arrays["qpos"][rows[part]])
        chosen.append(Example(number, positions, rewards[part], masks[part] == 0))
    sample = rows[:: -(-len(rows) // _SAMPLE)]
    everywhere = scene.positions(arrays["observations"][sample], arrays["qpos"][sample])
    return Examples(task, scene, chosen, everywhere)


def _mixed(solved: np.ndarray, unsolved: np.ndarray) -> list[int]:
    """COUNT numbers, in order, one of them unsolved if there is one."""
    failures = max(min(1, len(unsolved)), COUNT - len(solved))
    return sorted([*solved[: COUNT - failures].tolist(), *unsolved[:failures].tolist()])
