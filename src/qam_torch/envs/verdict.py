"""Read from a step's info whether the environment reports success.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["verdict_of"]


def verdict_of(info: Mapping[str, Any]) -> bool | None:
    """Read whether a step reports success. As in OGBench, an episode succeeds if any of its steps reports success.

    Args:
        info: info of the step.

    Returns:
        The value of info["success"] as a boolean. It must be a boolean or a number, or an array with one of these.
        Otherwise (NaN, a string, or a missing key), the value of info["is_success"] is used. None if neither is valid.
    """
    for name in ("success", "is_success"):
        value = info.get(name)
        if value is True or value is False:  # the usual case; the code below takes microseconds
            return value
        if value is not None:
            array = np.asarray(value)
            if array.size == 1 and array.dtype.kind in "biuf" and not np.isnan(array).any():
                return bool(array.item())
    return None
