"""A flow f_theta fine-tuned from a behavior flow f_beta: the base class of QAM and BAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.networks import VelocityField
from qam_torch.policies import sum_of_fields
from qam_torch.types import Draw, Noise, Velocity, require

__all__ = ["FineTunedFlow"]


class FineTunedFlow(FlowActorCritic):
    """Train critics, a behavior flow f_beta, and a policy flow f_theta along the memoryless SDE.

    Args:
        inv_temp: weight of the critic relative to the behavior prior, >= 0. With 0, f_beta acts alone. A list has one
            value per member: all zero or all positive.
        target_actor: whether the base flow is f_beta's Polyak copy instead of f_beta.
        residual: whether f_theta is a correction that is added to f_beta.
        **flow: further arguments of `FlowActorCritic`. clip_grad defaults to True.

    Source: Li & Levine 2026, the common part of QAM and BAM.
    """

    flow_target = True

    def __init__(
        self,
        *,
        inv_temp: float | Sequence[float] = 0.3,
        target_actor: bool = True,
        residual: bool = False,
        clip_grad: bool = True,
        **flow: Any,
    ) -> None:
        super().__init__(clip_grad=clip_grad, **flow)
        temperatures = [inv_temp] if isinstance(inv_temp, (int, float)) else inv_temp
        require("inv_temp", any(temperatures) == all(temperatures), inv_temp, "all zero (f_beta acts) or all positive")
        self.set_member_value("inv_temp", inv_temp, NON_NEGATIVE)
        self.target_actor, self.residual = target_actor, residual
        fine_tuned = VelocityField(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("f_theta", fine_tuned)
        field = sum_of_fields(self.network("f_beta").bind, fine_tuned.bind) if residual else fine_tuned.bind
        self.flow_policy = self.policy_of(field)
        if any(temperatures):
            self.set_policy(self.flow_policy)

    def base_flow(self, observations: Tensor) -> Velocity:
        """The flow from which f_theta is fine-tuned: f_beta(s, ., .), with detached parameters."""
        network = self.target("f_beta") if self.target_actor else self.network("f_beta")
        with torch.no_grad():
            return network.bind(observations)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The noise of the TD target, of flow matching and of the memoryless SDE."""
        chunk = (batch_size, self.chunk_dim)
        sde = {"sde_x0": Draw(chunk), "sde_noise": Draw((self.flow_steps - 1, *chunk))}
        return {**super().draws(batch_size), **sde}

    def sde_noise(self, noise: Noise) -> Tensor:
        """Return the SDE noise as (T - 1, P, B, D). The draw has P first."""
        return noise["sde_noise"].transpose(0, 1)
