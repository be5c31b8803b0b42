"""Choose example episodes of a dataset for the plot, and sample its positions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qam_torch.cli.data.scene import body_positions
from qam_torch.data.inspection.statistics import episode_lengths, episode_sums
from qam_torch.data.ogbench_format import kept_rows
from qam_torch.plotting.datasets import Example, Examples, Scene

__all__ = ["choose_examples"]

COUNT = 3
_SAMPLE = 200_000


def choose_examples(
    arrays: Mapping[str, np.ndarray], rewards: np.ndarray, masks: np.ndarray, task: int, scene: Scene
) -> Examples:
    """Choose the file's first two successful episodes and the first failed one, if there are enough of each.

    Args:
        arrays: arrays of the raw file, see `read_npz`.
        rewards: (N,), the task's rewards of the file's transitions.
        masks: (N,), 0 at success and 1 otherwise.
        task: number of the task.
        scene: from `scene_of`.

    Returns:
        The episodes, and evenly sampled positions of the whole file, at most 200,000 per body.
    """
    rows = np.flatnonzero(kept_rows(arrays["terminals"]))
    lengths = episode_lengths(arrays["terminals"])
    solved = episode_sums(masks == 0, lengths) > 0
    starts = np.cumsum(lengths) - lengths
    chosen = []
    for number in _select(np.flatnonzero(solved), np.flatnonzero(~solved)):
        part = slice(starts[number], starts[number] + lengths[number])
        positions = body_positions(scene, arrays["observations"][rows[part]], arrays["qpos"][rows[part]])
        chosen.append(Example(number, positions, rewards[part], masks[part] == 0))
    sample = rows[:: -(-len(rows) // _SAMPLE)]
    everywhere = body_positions(scene, arrays["observations"][sample], arrays["qpos"][sample])
    return Examples(task, scene, chosen, everywhere)


def _select(solved: np.ndarray, unsolved: np.ndarray) -> list[int]:
    """Select COUNT episode numbers in ascending order. One of them is unsolved if any episode is."""
    failures = max(min(1, len(unsolved)), COUNT - len(solved))
    return sorted([*solved[: COUNT - failures].tolist(), *unsolved[:failures].tolist()])
