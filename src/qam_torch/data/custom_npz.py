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

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.array_checks import FLAGS, NUMBERS, ArraySpec, Layout, read_arrays
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

    Without `next_observations`, the next state of a step is the next row's. A row at which an episode is cut then has
    no next state and is not a transition; its state is kept as the next state of the step before. A terminal row is
    kept: nothing is bootstrapped from its next state, so its own state is used there.

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
    actions = unit_actions(arrays["actions"], low, high, source)
    ended = arrays["terminals"]
    over = ended | arrays.get("timeouts", arrays.get("truncations", np.zeros_like(ended)))
    over[-1] = True
    try:
        if "next_observations" in arrays:
            return Transitions.from_arrays(
                arrays["observations"], actions, arrays["rewards"], ~ended, over, arrays["next_observations"],
                device=device, dtype=dtype,
            )  # fmt: skip
        kept = ~over | ended
        if not kept.any():
            raise QamError("no row has a next one in its episode: record longer episodes")
        rows = np.flatnonzero(kept)
        following = np.where(ended, np.arange(len(ended)), np.arange(1, len(ended) + 1))
        last = over | ~np.append(kept[1:], False)
        return Transitions(
            states=torch.as_tensor(arrays["observations"]).to(device, dtype),
            state_rows=torch.as_tensor(rows),
            next_rows=torch.as_tensor(following[rows]),
            actions=torch.as_tensor(actions[rows]),
            rewards=torch.as_tensor(arrays["rewards"][rows]),
            masks=torch.as_tensor(~ended[rows]),
            terminals=torch.as_tensor(last[rows]),
        )
    except QamError as error:
        raise QamError(f"{source}: {error}") from error
