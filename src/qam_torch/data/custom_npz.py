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
import torch

from qam_torch.data.array_checks import FLAGS, NUMBERS, ArraySpec, Layout, read_arrays
from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.data.transitions import Transitions
from qam_torch.types import QamError

__all__ = ["CUSTOM_LAYOUT", "custom_transitions"]

CUSTOM_LAYOUT: Layout = {
    "observations": ArraySpec("NO", NUMBERS),
    "actions": ArraySpec("NA", NUMBERS),
    "rewards": ArraySpec("N", NUMBERS),
    "terminals": ArraySpec("N", FLAGS),
    "timeouts": ArraySpec("N", FLAGS, required=False),
    "truncations": ArraySpec("N", FLAGS, required=False),
    "next_observations": ArraySpec("NO", NUMBERS, required=False),
}


def custom_transitions(
    path: str | os.PathLike[str],
    low: np.ndarray,
    high: np.ndarray,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Transitions:
    """Read a user's file, check it, and put it on the device. No Python object is ever unpickled.

    See `RecordedSteps` for files without `next_observations`.

    Args:
        path: path of the file; arrays that the format does not know are ignored.
        low: lower bounds of the environment's actions, (A,), finite.
        high: upper bounds, (A,), finite. Actions are scaled from the bounds to [-1, 1].
        device: device of the result.
        dtype: floating-point type of the result.

    Returns:
        The transitions; masks are 0 where `terminals` is true.

    Raises:
        QamError: the file is missing, damaged or incomplete, has wrong shapes or dtypes, numbers that are not finite,
            actions out of bounds, or no transition.
    """
    source = f"data file {path}"
    arrays = read_arrays(path, CUSTOM_LAYOUT)
    if {"timeouts", "truncations"} <= arrays.keys():
        raise QamError(f"{source} has both 'timeouts' and 'truncations', which mean the same: keep one")
    timeouts = arrays.get("timeouts", arrays.get("truncations", np.zeros_like(arrays["terminals"])))
    steps = RecordedSteps(
        arrays["observations"], arrays["actions"], arrays["rewards"], arrays["terminals"], timeouts,
        arrays.get("next_observations"),
    )  # fmt: skip
    return steps.transitions(low, high, source, device, dtype)
