"""One short LightningModule a method, over the one update of `base`."""

from qam_torch.algorithms.base import Algorithm, DivergedError, LossTerm
from qam_torch.algorithms.fbrac import FBRAC
from qam_torch.algorithms.fedit import FEdit
from qam_torch.algorithms.fql import FQL
from qam_torch.algorithms.noise import NamedNoise, member_generators
from qam_torch.algorithms.qam import QAM, QAME, QAMF

__all__ = [
    "FBRAC",
    "FQL",
    "QAM",
    "QAME",
    "QAMF",
    "Algorithm",
    "DivergedError",
    "FEdit",
    "LossTerm",
    "NamedNoise",
    "member_generators",
]
