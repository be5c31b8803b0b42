"""Behaviour cloning with a flow: flow matching on the data's action chunks."""

from __future__ import annotations

from torch import Tensor

from qam_torch.flows import flow_matching_loss
from qam_torch.types import Metrics, Velocity

__all__ = ["behavior_loss"]


def behavior_loss(velocity: Velocity, actions: Tensor, x_0: Tensor, t: Tensor, valid: Tensor) -> tuple[Tensor, Metrics]:
    """Flow matching of f_beta on the data, rows weighted by `valid`.

    velocity  f_beta(s, ., .) with the observations bound
    actions   (P, B, D)
    x_0       (P, B, D)  standard normal
    t         (P, B, 1)  uniform on [0, 1)
    valid     (P, B)
    ->        (P,), metrics

    Source: Li & Levine 2026, behaviour flow loss.
    """
    loss = flow_matching_loss(velocity, x_0, actions, t, valid)
    return loss, lambda: {"behavior/loss": loss.detach()}
