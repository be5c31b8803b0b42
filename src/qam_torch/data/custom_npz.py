"""A user's own npz file: one row per step, in time order.

observations       (N, O)  state in which the action was taken
actions            (N, A)  in the environment's own units
rewards            (N,)    of the step
terminals          (N,)    true where the step ended the task: no reward can follow
timeouts           (N,)    true where the episode was cut there, e.g. by a time limit; optional, also as `truncations`
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
    """Read a user's file and check it. No Python object is ever unpickled.

    Args:
        path: path of the file; arrays that the format does not know are ignored.

    Raises:
        QamError: the file is missing, damaged or incomplete, has wrong shapes or dtypes, or
            numbers that are not finite.
    """
    arrays = read_arrays(path, CUSTOM_LAYOUT)
    if {"timeouts", "truncations"} <= arrays.keys():
        raise QamError(f"data file {path} has both 'timeouts' and 'truncations', which mean the same: keep one")
    timeouts = arrays.get("timeouts", arrays.get("truncations", np.zeros_like(arrays["terminals"])))
    return RecordedSteps(
        arrays["observations"], arrays["actions"], arrays["rewards"], arrays["terminals"], timeouts,
        arrays.get("next_observations"),
    )  # fmt: skip
