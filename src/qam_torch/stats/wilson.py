"""The interval of a success rate."""

from __future__ import annotations

from qam_torch.types import QamError

__all__ = ["wilson_interval"]


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a success probability.

    Unlike the normal approximation, it keeps its width when all or no trials succeed.

    Args:
        successes: 0 to `trials`.
        trials: at least 1.
        level: coverage, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        QamError: an argument is out of range.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= successes <= trials or trials < 1 or not 0.0 < level < 1.0:
        raise QamError(
            f"got successes={successes}, trials={trials}, level={level}: "
            "expected 0 <= successes <= trials, at least one trial and a level between 0 and 1"
        )
    from scipy.stats import binomtest  # here, because its import takes most of a second

    interval = binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
