"""Q-learning with adjoint matching: QAM, and its variants QAM-F and QAM-E.

Source: Li & Levine 2026, "Q-learning with Adjoint Matching", arXiv 2601.14234.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.fine_tuned import FineTunedFlow
from qam_torch.algorithms.core.lookup import instantiate_class
from qam_torch.algorithms.core.mixins import EditMixin, OneStepMixin
from qam_torch.flows.discretization import PAPER, Discretization
from qam_torch.objectives import AdjointTargets, adjoint_matching, matching_targets
from qam_torch.types import Batch, Noise

__all__ = ["QAM", "QAME", "QAMF"]


class QAM(FineTunedFlow):
    """Train a critic by TD, a flow f_beta by flow matching and a policy flow f_theta by adjoint matching.

    Args:
        clip_adj: zero the critic's gradient outside [-1, 1].
        use_target_grad: whether the action gradient is that of the target critic, not of the critic.
        discretization: class and arguments of a `flows.Discretization`, such as
            `{"_target_": "qam_torch.flows.AncestralDiscretization", "spread": 1.0}`; None for the paper's.
        **fine_tuned: see `FineTunedFlow`.

    Source: Li & Levine 2026, algorithm QAM.
    """

    def __init__(
        self,
        *,
        clip_adj: bool = True,
        use_target_grad: bool = True,
        discretization: Mapping[str, Any] | None = None,
        **fine_tuned: Any,
    ) -> None:
        super().__init__(**fine_tuned)
        self.clip_adj, self.use_target_grad = clip_adj, use_target_grad
        self.discretization: Discretization = PAPER
        if discretization is not None:
            self.discretization = instantiate_class(
                discretization,
                "algo.discretization",
                Discretization,  # type: ignore[type-abstract]
            )

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss + flow-matching loss of f_beta + adjoint-matching loss of f_theta."""
        matching = adjoint_matching(self.matching_targets(batch, noise), self.discretization)
        return [*super().losses(batch, noise), LossTerm(*matching, ("f_theta",))]

    def matching_targets(self, batch: Batch, noise: Noise) -> AdjointTargets:
        """Noisy paths of f_theta and their lean adjoints, see `objectives.matching_targets`."""
        observations = batch.observations
        critic = self.target("critic") if self.use_target_grad else self.network("critic")
        return matching_targets(
            self.network("f_theta").bind(observations),
            self.base_flow(observations),
            lambda actions: critic(observations, actions).mean(-2),
            noise["sde_x0"],
            self.sde_noise(noise),
            self.flow_steps,
            self.member_value("inv_temp", ndim=3),
            residual=self.residual,
            clip_adj=self.clip_adj,
            batched_nodes=observations.is_cuda,
            discretization=self.discretization,
        )

    def traces(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Paths and adjoints, compared with recorded runs: xs, lean_adjoints (T, P, B, D), ts (T, P, B, 1)."""
        targets = self.matching_targets(batch._replace(actions=batch.actions[..., : self.chunk_dim]), noise)
        xs = targets.xs
        times = torch.arange(len(xs), dtype=xs.dtype, device=xs.device) / len(xs)
        ts = times.view(-1, 1, 1, 1).expand(*xs.shape[:-1], 1)
        return {"xs": xs, "lean_adjoints": targets.lean_adjoints, "ts": ts}


class QAMF(OneStepMixin, QAM):
    """QAM-F: act with a one-step policy, distilled from f_theta, that maximizes the critic.

    The arguments are those of `OneStepMixin` and `QAM`.

    Source: Li & Levine 2026, QAM-F.
    """


class QAME(EditMixin, QAM):
    """QAM-E: an edit policy shifts f_theta's actions by <= edit_scale to raise Q, with an entropy term.

    The arguments are those of `EditMixin` and `QAM`.

    Source: Li & Levine 2026, QAM-E.
    """
