"""BAM, a variant of QAM that back-propagates through the memoryless SDE instead of using adjoint matching.

Source: Li & Levine 2026, BAM.
"""

from __future__ import annotations

from typing import Any

from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.fine_tuned import FineTunedFlow
from qam_torch.objectives import path_control_loss, pessimistic_value
from qam_torch.types import Batch, Noise, require

__all__ = ["BAM"]


class BAM(FineTunedFlow):
    """Train a critic by TD, a flow f_beta by flow matching and a policy flow f_theta by back-propagation.

    Args:
        flow_steps: number of solver steps T, >= 2. The last step uses f_beta.
        **fine_tuned: further arguments of `FineTunedFlow`.

    Source: Li & Levine 2026, BAM.
    """

    def __init__(self, *, flow_steps: int = 10, **fine_tuned: Any) -> None:
        require("flow_steps", flow_steps >= 2, flow_steps, "an integer >= 2, as the last step uses f_beta")
        super().__init__(flow_steps=flow_steps, **fine_tuned)

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The critic loss, the flow-matching loss of f_beta and the control cost of f_theta's path."""
        observations, critic = batch.observations, self.network("critic")
        control = path_control_loss(
            self.network("f_theta").bind(observations),
            self.base_flow(observations),
            lambda actions: pessimistic_value(critic(observations, actions), self.rho),
            noise["sde_x0"],
            self.sde_noise(noise),
            self.flow_steps,
            self.member_value("inv_temp", ndim=2),
            residual=self.residual,
        )
        return [*super().losses(batch, noise), LossTerm(*control, ("f_theta",))]
