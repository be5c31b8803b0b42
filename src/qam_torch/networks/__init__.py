"""Networks whose parameters all have a leading population axis P.

Sizes: P members, K critics, B rows, O values per observation, D = h A values per chunk of h actions.
"""

from qam_torch.networks.critic import CriticEnsemble, TimeConditionedCritics, ValueNetwork
from qam_torch.networks.deterministic import DeterministicNetwork
from qam_torch.networks.diffusion import NoisePredictor
from qam_torch.networks.gaussian import GaussianNetwork, GaussianSample, TanhGaussian, Temperature
from qam_torch.networks.mlp import MLP
from qam_torch.networks.onestep import OneStepNetwork
from qam_torch.networks.polyak import polyak_copy, polyak_update
from qam_torch.networks.velocity import BoundVelocity, VelocityField

__all__ = [
    "MLP",
    "BoundVelocity",
    "CriticEnsemble",
    "DeterministicNetwork",
    "GaussianSample",
    "NoisePredictor",
    "OneStepNetwork",
    "TanhGaussian",
    "GaussianNetwork",
    "Temperature",
    "TimeConditionedCritics",
    "ValueNetwork",
    "VelocityField",
    "polyak_copy",
    "polyak_update",
]
