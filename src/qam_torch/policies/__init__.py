"""Policies: map observations and named noise to action chunks."""

from qam_torch.policies.best_of_n import BestOfN, least_of_critics
from qam_torch.policies.diffusion import DiffusionPolicy
from qam_torch.policies.edited import EditedPolicy
from qam_torch.policies.flow import Field, FlowPolicy, GuidedField, sum_of_fields
from qam_torch.policies.gaussian import DisturbedPolicy, GaussianPolicy
from qam_torch.policies.latent import LatentPolicy
from qam_torch.policies.onestep import OneStepPolicy

__all__ = [
    "BestOfN",
    "DiffusionPolicy",
    "DisturbedPolicy",
    "EditedPolicy",
    "Field",
    "FlowPolicy",
    "GaussianPolicy",
    "LatentPolicy",
    "OneStepPolicy",
    "GuidedField",
    "least_of_critics",
    "sum_of_fields",
]
