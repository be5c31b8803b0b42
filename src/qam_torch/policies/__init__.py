"""Policies map observations and named noise to action chunks."""

from qam_torch.policies.best_of_n import BestOfN, min_over_critics
from qam_torch.policies.diffusion import DiffusionPolicy
from qam_torch.policies.edited import EditedPolicy
from qam_torch.policies.flow import ConditionalVelocity, FlowPolicy, GuidedField, sum_of_fields
from qam_torch.policies.gaussian import GaussianPolicy, PerturbedPolicy
from qam_torch.policies.latent import LatentPolicy
from qam_torch.policies.onestep import OneStepPolicy

__all__ = [
    "BestOfN",
    "DiffusionPolicy",
    "PerturbedPolicy",
    "EditedPolicy",
    "ConditionalVelocity",
    "FlowPolicy",
    "GaussianPolicy",
    "LatentPolicy",
    "OneStepPolicy",
    "GuidedField",
    "min_over_critics",
    "sum_of_fields",
]
