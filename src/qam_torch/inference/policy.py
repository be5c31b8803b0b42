"""Load a checkpoint's policy as a function of observations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.inference.load_algorithm import load_algorithm, member_index
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.types import QamError

if TYPE_CHECKING:
    import gymnasium

__all__ = ["LoadedPolicy", "load_policy"]


class LoadedPolicy:
    """One member's policy: `policy(observation) -> action chunk`.

    Attributes:
        algorithm: algorithm with one member.
        environment: configuration of the training environment, with its `env_name`; `make_environment` uses it.
        observation_dim: O.
        action_dim: A.
        horizon_length: h.
        execute_steps: number of actions of a chunk to execute before the next call, as in the run's evaluations. It is
            the length of a chunk unless the run set `execute_steps`.
    """

    def __init__(self, algorithm: Algorithm, environment: dict[str, Any], action_dim: int, noise_seed: int) -> None:
        self.algorithm, self.environment, self.action_dim = algorithm, environment, action_dim
        self.observation_dim = algorithm.observation_dim
        self.horizon_length = algorithm.horizon_length
        self.execute_steps: int = environment.get("execute_steps") or algorithm.chunk_dim // action_dim
        self._actor = PopulationActor(algorithm, seeds=(noise_seed,))

    def make_environment(self, **options: Any) -> gymnasium.Env:
        """Make the environment for which the policy was trained, not yet reset. It takes actions in [-1, 1].

        Args:
            **options: further keyword arguments of the environment, e.g. render_mode="rgb_array".
        """
        from qam_torch.suites import suite_of  # imported here: the policy alone needs no environment

        return suite_of(self.environment).make(self.environment)(**options)

    def __call__(self, observation: np.ndarray | torch.Tensor) -> np.ndarray:
        """Select actions.

        Args:
            observation: (O,) or (E, O), finite.

        Returns:
            Action chunk (h, A) or (E, h, A), in [-1, 1]. In n-step mode, a chunk has one action.

        Raises:
            QamError: the observation has a wrong size or is not finite, or the action is not finite, e.g. after
                training diverged.
        """
        states = np.asarray(observation, dtype=np.float64)
        if states.ndim not in (1, 2) or states.shape[-1] != self.observation_dim:
            raise QamError(
                f"got an observation of shape {states.shape}, expected ({self.observation_dim},) or "
                f"(E, {self.observation_dim})"
            )
        if not np.isfinite(states).all():
            place = np.argwhere(~np.isfinite(states))[0].tolist()
            raise QamError(f"the observation is not finite at {place}: expected neither NaN nor infinite numbers")
        try:
            chunks = self._actor(np.atleast_2d(states)[None])[0].reshape(-1, self.algorithm.chunk_dim)
        except DivergedError:
            raise QamError(
                "the policy returned a non-finite action, as can happen after training diverged: use another member or "
                "an earlier checkpoint, or check that the observation is one of this environment"
            ) from None
        chunks = chunks.reshape(len(chunks), -1, self.action_dim)
        return chunks[0] if states.ndim == 1 else chunks


def load_policy(
    path: str | os.PathLike[str],
    member: int | str | None = None,
    noise_seed: int = 0,
    device: str | torch.device = "cpu",
    **address: float,
) -> LoadedPolicy:
    """Load one member's policy from a checkpoint, without a Trainer or Hydra.

    Args:
        path: path of a .ckpt file, or of a run directory, whose last checkpoint is loaded.
        member: member of a population: its index (0 <= member < P) or its address, e.g. "seed=2,inv_temp=3".
        noise_seed: seed of the policy's noise.
        device: device of the policy.
        **address: address of the member as keywords, e.g. load_policy(path, seed=2, inv_temp=3). Any part of the
            address that identifies the member suffices.

    Raises:
        QamError: the file is not a checkpoint of this library, or no member or several members match.
    """
    checkpoint = read_checkpoint(path)
    algorithm = load_algorithm(checkpoint, member_index(checkpoint, member, address)).to(device)
    section = checkpoint[SECTION]
    return LoadedPolicy(algorithm, dict(section["run"]), int(section["arguments"]["action_dim"]), noise_seed)
