"""FEdit: a behavior flow with a policy that edits its actions.

Source: Li & Levine 2026, FEdit. It is the edit policy of QAM-E without the fine-tuned flow.
"""

from __future__ import annotations

from qam_torch.algorithms.core.mixins import EditMixin

__all__ = ["FEdit"]


class FEdit(EditMixin):
    """Train a behavior flow by flow matching, and a policy that edits its actions slightly to maximize the critic.

    The arguments are those of `EditMixin` and `FlowActorCritic`.

    Source: Li & Levine 2026, FEdit.
    """
