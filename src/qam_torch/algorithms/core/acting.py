"""Policies of all members as functions of numpy arrays: what evaluation, collection and videos call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch

from qam_torch.algorithms.core.algorithm import Algorithm
from qam_torch.algorithms.core.noise import NamedNoise
from qam_torch.algorithms.core.recording import record
from qam_torch.types import Draw, Policy

__all__ = ["CollectingActor", "PopulationActor"]


class PopulationActor:
    """A policy of all members as a function of numpy arrays: (P, E, O) -> (P, E, D).

    algorithm  whose members, device and seeds to use
    policy     "policy" (what the method acts with) or "behavior_policy" (f_beta alone)
    stream     name of the random stream of the acting noise
    seeds      instead of the members' own
    block      the rows are episodes first, .., last - 1 of E: (first, last, E); they get the noise that they would get
               among all E. None: the rows are all there are
    """

    def __init__(
        self,
        algorithm: Algorithm,
        policy: str = "policy",
        stream: str = "act",
        seeds: tuple[int, ...] | None = None,
        block: tuple[int, int, int] | None = None,
    ) -> None:
        self.block = block
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
            draws = self.policy.draws(self.rows if self.block is None else self.block[2])
            self.noise = NamedNoise(draws, self.seeds, self.stream, parameter.device, parameter.dtype)
        noise = {name: draw[0] for name, draw in self.noise.sample(1).items()}
        if self.block is not None:
            noise = {name: self._of_block(draw, self.policy.draws(self.rows)[name]) for name, draw in noise.items()}
        states = torch.as_tensor(observations, dtype=parameter.dtype, device=parameter.device)
        chunks = self.policy(states, noise).cpu().numpy()
        return _finite(chunks, np.ones(len(chunks), bool), self.algorithm)

    def _of_block(self, drawn: torch.Tensor, own: Draw) -> torch.Tensor:
        """The rows (P, ..) of this block out of all episodes', on the axis in which the two differ."""
        assert self.block is not None
        first, last, episodes = self.block
        for axis, (whole, part) in enumerate(zip(drawn.shape[1:], own.shape, strict=True), start=1):
            if whole != part:
                each = whole // episodes
                return drawn.narrow(axis, first * each, (last - first) * each)
        return drawn


class CollectingActor:
    """The same for collecting experience: recorded once, with random states that a checkpoint remembers.

    algorithm  as it is being trained; its parameters must not move to another device afterwards
    """

    def __init__(self, algorithm: Algorithm, streams: int) -> None:
        self.algorithm, self.streams = algorithm, streams
        self._saved: Mapping[str, Any] | None = None

    @property
    def policy(self) -> Policy:
        """The method's policy for collection, or else the one that acts everywhere."""
        return self.algorithm.collection_policy or self.algorithm.policy

    @cached_property
    def noise(self) -> NamedNoise:
        """On the algorithm's device, which is known when it is first asked to act: after a checkpoint is loaded."""
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
        return record(act, [parameter.new_zeros(self.algorithm.members, *shape) for shape in shapes])

    @torch.no_grad()
    def __call__(self, observations: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(P, E, O) -> (P, E, D); members that are not in `asked` (P,) draw no noise, their rows mean nothing."""
        noise = self.noise.sample(1, asked)
        states = torch.as_tensor(observations, dtype=self.noise.dtype, device=self.noise.device)
        chunks = self._recorded(states, *(noise[name][0] for name in self.noise.draws)).cpu().numpy()
        return _finite(chunks, asked, self.algorithm)

    def state_dict(self) -> dict[str, Any]:
        """The noise's generators."""
        return self.noise.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from there."""
        self._saved = state_dict
        self.__dict__.pop("noise", None)


def _finite(chunks: np.ndarray, asked: np.ndarray, algorithm: Algorithm) -> np.ndarray:
    """The chunks (P, E, D), those of a member that has diverged replaced by 0 where it is to be frozen."""
    lost = asked & ~np.isfinite(chunks).all(axis=(1, 2))
    if lost.any():
        algorithm.give_up(torch.as_tensor(lost), "an action")
        chunks[lost] = 0
    return chunks
