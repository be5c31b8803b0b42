"""From observations on the host to action chunks: what evaluation, videos and users call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qam_torch.algorithms import Algorithm, DivergedError, NamedNoise
from qam_torch.algorithms.capture import record
from qam_torch.experiment.checkpoints import SECTION, load_algorithm, read_checkpoint
from qam_torch.types import Policy, QamError

if TYPE_CHECKING:
    import gymnasium

__all__ = ["CollectingActor", "LoadedPolicy", "PopulationActor", "load_policy"]


class PopulationActor:
    """A policy of all members as a function of numpy arrays: (P, E, O) -> (P, E, D).

    algorithm  whose members, device and seeds to use
    policy     "policy" (what the method acts with) or "behavior_policy" (f_beta alone)
    stream     name of the random stream of the acting noise
    seeds      instead of the members' own
    """

    def __init__(
        self, algorithm: Algorithm, policy: str = "policy", stream: str = "act", seeds: tuple[int, ...] | None = None
    ) -> None:
        self.algorithm, self.stream, self.seeds = algorithm, stream, seeds or algorithm.seeds
        self.policy: Policy = getattr(algorithm, policy)
        self.noise: NamedNoise | None = None
        self.rows = 0

    @torch.no_grad()
    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """One batched forward pass for all members and rows."""
        parameter = next(self.algorithm.networks.parameters())
        if self.noise is None or self.rows != observations.shape[1]:
            self.rows = observations.shape[1]
            draws = self.policy.draws(self.rows)
            self.noise = NamedNoise(draws, self.seeds, self.stream, parameter.device, parameter.dtype)
        noise = {name: draw[0] for name, draw in self.noise.sample(1).items()}
        states = torch.as_tensor(observations, dtype=parameter.dtype, device=parameter.device)
        return self.policy(states, noise).cpu().numpy()


class CollectingActor:
    """The same for collecting experience: recorded once, with random states that a checkpoint remembers.

    algorithm  as it is being trained; its parameters must not move to another device afterwards
    """

    def __init__(self, algorithm: Algorithm, streams: int) -> None:
        self.algorithm, self.streams = algorithm, streams
        self._saved: Mapping[str, Any] | None = None

    @cached_property
    def noise(self) -> NamedNoise:
        """On the algorithm's device, which is known when it is first asked to act: after a checkpoint is loaded."""
        parameter = next(self.algorithm.networks.parameters())
        draws = self.algorithm.policy.draws(self.streams)
        noise = NamedNoise(draws, self.algorithm.seeds, "collect", parameter.device, parameter.dtype)
        if self._saved is not None:
            noise.load_state_dict(self._saved)
        return noise

    @cached_property
    def _recorded(self) -> Callable[..., torch.Tensor]:
        def act(states: torch.Tensor, *draws: torch.Tensor) -> torch.Tensor:
            return self.algorithm.policy(states, dict(zip(self.noise.draws, draws, strict=True)))

        shapes = [(self.streams, self.algorithm.observation_dim), *(draw.shape for draw in self.noise.draws.values())]
        parameter = next(self.algorithm.networks.parameters())
        return record(act, [parameter.new_zeros(self.algorithm.members, *shape) for shape in shapes])

    @torch.no_grad()
    def __call__(self, observations: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(P, E, O) -> (P, E, D); members that are not in `asked` (P,) draw no noise, their rows mean nothing."""
        noise = self.noise.sample(1, asked)
        states = torch.as_tensor(observations, dtype=self.noise.dtype, device=self.noise.device)
        chunks = self._recorded(states, *(noise[name][0] for name in self.noise.draws)).cpu().numpy()
        lost = asked & ~np.isfinite(chunks).all(axis=(1, 2))
        if lost.any():
            seeds = ", ".join(str(seed) for seed, is_lost in zip(self.algorithm.seeds, lost, strict=True) if is_lost)
            raise DivergedError(
                f"training diverged: the policy of seed {seeds} gives actions that are not finite; "
                f"{self.algorithm.remedy}"
            )
        return chunks

    def state_dict(self) -> dict[str, Any]:
        """The noise's generators."""
        return self.noise.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from there."""
        self._saved = state_dict
        self.__dict__.pop("noise", None)


class LoadedPolicy:
    """One member's policy: `policy(observation) -> action chunk`.

    algorithm       a population of one
    environment     what it was trained on: `env_name` and how to make it, see `make_environment`
    horizon_length  h, steps of a chunk, to be executed open loop
    action_dim      A
    """

    def __init__(self, algorithm: Algorithm, environment: dict[str, Any], action_dim: int, seed: int) -> None:
        self.algorithm, self.environment, self.action_dim = algorithm, environment, action_dim
        self.observation_dim = algorithm.observation_dim
        self.horizon_length = algorithm.horizon_length
        self._actor = PopulationActor(algorithm, seeds=(seed,))

    def make_environment(self, **options: Any) -> gymnasium.Env:
        """The environment it was trained for, not yet reset, which takes the policy's actions in [-1, 1] as they are.

        options  further keywords of the environment, e.g. render_mode="rgb_array" for one of Gymnasium's
        """
        from qam_torch.experiment.environments import environment_maker  # acting alone needs no environments

        return environment_maker(self.environment)(**options)

    def __call__(self, observation: np.ndarray | torch.Tensor) -> np.ndarray:
        """(O,) -> (h, A), or (E, O) -> (E, h, A), in [-1, 1]; h = 1 in n-step mode.

        Raises QamError when the observation has another size.
        """
        states = np.asarray(observation, dtype=np.float64)
        if states.ndim not in (1, 2) or states.shape[-1] != self.observation_dim:
            raise QamError(
                f"got an observation of shape {states.shape}, expected ({self.observation_dim},) or "
                f"(E, {self.observation_dim})"
            )
        chunks = self._actor(np.atleast_2d(states)[None])[0].reshape(-1, self.algorithm.chunk_dim)
        chunks = chunks.reshape(len(chunks), -1, self.action_dim)
        return chunks[0] if states.ndim == 1 else chunks


def load_policy(
    path: str | os.PathLike[str], member: int = 0, seed: int = 0, device: str | torch.device = "cpu"
) -> LoadedPolicy:
    """Load one member's policy from a checkpoint: no Trainer, no Hydra.

    path    a run's .ckpt file
    member  int    which member of a population, 0 <= member < P
    seed    int    of the acting noise
    device  where to run
    ->      LoadedPolicy

    Raises QamError when the file is no checkpoint of this library or has no such member.
    """
    checkpoint = read_checkpoint(path)
    algorithm = load_algorithm(checkpoint, member).to(device)
    section = checkpoint[SECTION]
    return LoadedPolicy(algorithm, dict(section["run"]), int(section["arguments"]["action_dim"]), seed)
