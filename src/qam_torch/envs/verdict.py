"""Whether an environment reports success at a step. Imported in worker processes: only numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["verdict_of"]


def verdict_of(info: Mapping[str, Any]) -> bool | None:
    """Whether a step reports success; an episode is a success if any of its steps does, as in OGBench.

    Args:
        info: info of the step.

    Returns:
        The value of info["success"], or of info["is_success"] where the former is not a verdict: a boolean or a number,
        possibly as an array of one element. None for anything else, such as NaN, a text or a missing key.
    """
    for name in ("success", "is_success"):
        value = info.get(name)
        if value is True or value is False:  # almost always, and what follows takes microseconds
            return value
        if value is not None:
            array = np.asarray(value)
            if array.size == 1 and array.dtype.kind in "biuf" and not np.isnan(array).any():
                return bool(array.item())
    return None
