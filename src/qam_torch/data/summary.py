"""Summarize a dataset in a few lines, which a run prints before it starts."""

from __future__ import annotations

from collections.abc import Iterator

from qam_torch.data.windows import ChunkWindows

__all__ = ["data_summary"]

NARROW = 0.1
"""If the data use a smaller share of an action dimension's range, a warning is printed."""

MOST_SHARES = 8
"""If there are more action dimensions, only the smallest and the largest share are printed."""


def data_summary(windows: ChunkWindows) -> Iterator[str]:
    """Report the range of rewards, the used share of each action dimension, and episodes shorter than a chunk.

    Args:
        windows: windows of the dataset.

    Yields:
        One line per remark.
    """
    data = windows.transitions
    low, high = data.rewards.min(), data.rewards.max()
    shares = ((data.actions.amax(dim=0) - data.actions.amin(dim=0)) / 2).tolist()
    if len(shares) <= MOST_SHARES:
        shown = ", ".join(map(_percent, shares))
    else:
        shown = f"{_percent(min(shares))} to {_percent(max(shares))}"
    yield f"rewards {low:.4g} to {high:.4g}; actions use {shown} of the environment's range"
    narrow = [str(dimension) for dimension, share in enumerate(shares) if share < NARROW]
    if narrow:
        yield (
            f"warning: the actions use less than {NARROW:.0%} of the range in dimension {', '.join(narrow)}, but a "
            "policy acts in all of it: register the environment with a wrapper whose bounds fit the data"
        )
    if windows.short_episodes:
        yield (
            f"{windows.short_episodes:,} of {data.num_episodes:,} episodes are shorter than a chunk of "
            f"{windows.horizon_length} steps and are not used"
        )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= NARROW else f"{100 * share:.2g}%"
