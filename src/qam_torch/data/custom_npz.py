"""Read a custom npz file. It has one row per step, in time order.

observations       (N, O)  state in which the action was taken
actions            (N, A)  action in the units of the environment
rewards            (N,)    reward of the step
terminals          (N,)    true if the step ended the task, so that no reward can follow
timeouts           (N,)    true if the episode was cut after the step, e.g. by a time limit; optional; may also be named
                           `truncations`
next_observations  (N, O)  state after the step; optional
"""

from __future__ import annotations

import os

import numpy as np

from qam_torch.data.array_checks import FLAGS, NUMBERS, ArraySpec, Layout, read_arrays
from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.types import QamError

__all__ = ["CUSTOM_LAYOUT", "custom_steps"]

CUSTOM_LAYOUT: Layout = {
    "observations": ArraySpec("NO", NUMBERS),
    "actions": ArraySpec("NA", NUMBERS),
    "rewards": ArraySpec("N", NUMBERS),
    "terminals": ArraySpec("N", FLAGS),
    "timeouts": ArraySpec("N", FLAGS, required=False),
    "truncations": ArraySpec("N", FLAGS, required=False),
    "next_observations": ArraySpec("NO", NUMBERS, required=False),
}


def custom_steps(path: str | os.PathLike[str]) -> RecordedSteps:
    """Read and check a custom npz file. No Python object is ever unpickled.

    Args:
        path: path of the file. Arrays that are not part of the format are ignored.

    Raises:
        QamError: the file is missing, damaged or incomplete, or has both `timeouts` and `truncations`. Or an array has
            a wrong shape or dtype, numbers that are not finite, or flags that are not 0 or 1.
    """
    arrays = read_arrays(path, CUSTOM_LAYOUT)
    if {"timeouts", "truncations"} <= arrays.keys():
        raise QamError(f"data file {path} has both 'timeouts' and 'truncations', which mean the same: keep one")
    timeouts = arrays.get("timeouts", arrays.get("truncations", np.zeros_like(arrays["terminals"])))
    return RecordedSteps(
        arrays["observations"], arrays["actions"], arrays["rewards"], arrays["terminals"], timeouts,
        arrays.get("next_observations"),
    )  # fmt: skip
