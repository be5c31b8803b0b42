"""Policies of all members as functions of numpy arrays, for evaluation, collection and videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from qam_torch.algorithms.core.algorithm import Algorithm
from qam_torch.algorithms.core.noise import NamedNoise
from qam_torch.algorithms.core.recording import record
from qam_torch.types import Policy

__all__ = ["CollectingActor", "PopulationActor", "batch_axis"]


class PopulationActor:
    """A policy of all members as a function of numpy arrays: (P, S, O) -> (P, S, D).

    Args:
        algorithm: provides members, device and seeds.
        policy: "policy" (what the method acts with) or "behavior_policy" (f_beta alone).
        stream: name of the random stream of the acting noise.
        seeds: replace the members' seeds.
        episodes: E. If given, `begin` assigns episodes to rows, and each episode gets the same noise as if
            all E began together. Otherwise all rows begin at the first call.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        policy: str = "policy",
        stream: str = "act",
        seeds: tuple[int, ...] | None = None,
        episodes: int | None = None,
    ) -> None:
        self.algorithm, self.stream, self.seeds = algorithm, stream, seeds or algorithm.seeds
        self.policy = algorithm.normalization.wrap_policy(getattr(algorithm, policy))
        self.episodes = episodes
        self._groups: list[tuple[NamedNoise, np.ndarray]] = []
        self._rows = 0

    def begin(self, begins: np.ndarray) -> None:
        """Begin episodes: (P, S) int, index of the new episode in each row, -1 where the current one continues."""
        new, size = begins >= 0, self.episodes or begins.shape[1]
        parameter = next(self.algorithm.networks.parameters())
        noise = NamedNoise(
            self.policy.draws(size), self.seeds, self.stream, parameter.device, parameter.dtype
        )  # fmt: skip
        continued = ((noise, np.where(new, -1, running)) for noise, running in self._groups)
        self._groups = [(noise, running) for noise, running in continued if (running >= 0).any()]
        self._groups.append((noise, begins.copy()))
        self._rows = begins.shape[1]

    @torch.no_grad()
    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """One batched forward pass for all members and rows."""
        rows = observations.shape[1]
        if self.episodes is None and self._rows != rows:
            self._groups = []
            self.begin(np.tile(np.arange(rows), (len(observations), 1)))
        parameter = next(self.algorithm.networks.parameters())
        states = torch.as_tensor(observations, dtype=parameter.dtype, device=parameter.device)
        chunks = self.policy(states, self._noise(rows)).cpu().numpy()
        return _finite(chunks, np.ones(len(chunks), bool), self.algorithm)

    def _noise(self, rows: int) -> dict[str, torch.Tensor]:
        """The noise of every row, from its group's draws for all episodes."""
        found: dict[str, torch.Tensor] = {}
        shapes = self.policy.draws(rows)
        for noise, running in self._groups:
            members, slots = (torch.as_tensor(index, device=noise.device) for index in np.nonzero(running >= 0))
            numbers = torch.as_tensor(running[running >= 0], device=noise.device)
            whole = bool((running == np.arange(rows)).all())
            for name, (drawn,) in noise.sample(1).items():
                if whole and drawn.shape[1:] == shapes[name].shape:
                    found[name] = drawn
                    continue
                size = noise.draws[name].shape
                axis = batch_axis(size, self.policy.draws((self.episodes or rows) + 1)[name].shape)
                if name not in found:
                    found[name] = drawn.new_zeros(len(drawn), *shapes[name].shape)
                each = size[axis] // (self.episodes or rows)
                # (P, .., E each, ..) -> (P, E, .., each, ..), a view in which episodes are assigned to rows
                target = found[name].unflatten(axis + 1, (rows, each)).movedim(axis + 1, 1)
                target[members, slots] = drawn.unflatten(axis + 1, (-1, each)).movedim(axis + 1, 1)[members, numbers]
        return found


def batch_axis(shape: Sequence[int], larger: Sequence[int]) -> int:
    """The axis that grows with the number of rows."""
    return next(axis for axis, (one, other) in enumerate(zip(shape, larger, strict=True)) if one != other)


class CollectingActor:
    """`PopulationActor` for data collection: recorded once, with random states saved in checkpoints.

    Args:
        algorithm: in training; its parameters must stay on their device.
        streams: E, environments per member; >= 1.
    """

    def __init__(self, algorithm: Algorithm, streams: int) -> None:
        self.algorithm, self.streams = algorithm, streams
        self._saved: Mapping[str, Any] | None = None

    @property
    def policy(self) -> Policy:
        """The method's collection policy if it has one, otherwise its policy."""
        algorithm = self.algorithm
        return algorithm.normalization.wrap_policy(algorithm.collection_policy or algorithm.policy)

    @cached_property
    def noise(self) -> NamedNoise:
        """Noise on the algorithm's device, which is known at the first call, after a checkpoint is loaded."""
        parameter = next(self.algorithm.networks.parameters())
        draws = self.policy.draws(self.streams)
        noise = NamedNoise(draws, self.algorithm.seeds, "collect", parameter.device, parameter.dtype)
        if self._saved is not None:
            noise.load_state_dict(self._saved)
        return noise

    @cached_property
    def _recorded(self) -> Callable[..., torch.Tensor]:
        def act(states: torch.Tensor, *draws: torch.Tensor) -> torch.Tensor:
            return self.policy(states, dict(zip(self.noise.draws, draws, strict=True)))

        shapes = [(self.streams, self.algorithm.observation_dim), *(draw.shape for draw in self.noise.draws.values())]
        parameter = next(self.algorithm.networks.parameters())
        return record(act, [parameter.new_zeros(self.algorithm.members, *shape) for shape in shapes]).forward

    @torch.no_grad()
    def __call__(self, observations: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(P, E, O) -> (P, E, D); members not in `active` (P,) bool draw no noise; ignore their rows."""
        noise = self.noise.sample(1, active)
        states = torch.as_tensor(observations, dtype=self.noise.dtype, device=self.noise.device)
        chunks = self._recorded(states, *(noise[name][0] for name in self.noise.draws)).cpu().numpy()
        return _finite(chunks, active, self.algorithm)

    def state_dict(self) -> dict[str, Any]:
        """Noise generator states."""
        return self.noise.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the states."""
        self._saved = state_dict
        self.__dict__.pop("noise", None)


def _finite(chunks: np.ndarray, active: np.ndarray, algorithm: Algorithm) -> np.ndarray:
    """The chunks (P, E, D), 0 for members that diverge; raises DivergedError unless they are frozen."""
    lost = active & ~np.isfinite(chunks).all(axis=(1, 2))
    if lost.any():
        algorithm.handle_divergence(torch.as_tensor(lost), "an action")
        chunks[lost] = 0
    return chunks
