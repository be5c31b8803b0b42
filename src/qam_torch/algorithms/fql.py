"""FQL: flow Q-learning.

Source: Park et al. 2025, "Flow Q-learning"; Li & Levine 2026 for the benchmark setting.
"""

from __future__ import annotations

from qam_torch.algorithms.core.mixins import OneStepMixin

__all__ = ["FQL"]


class FQL(OneStepMixin):
    """Train a behavior flow, and a one-step policy that is distilled from the flow and maximizes the critic.

    The arguments are those of `OneStepMixin` and `FlowActorCritic`.

    Source: Park et al. 2025.
    """
