"""One short LightningModule a method, over the one update of `base`."""

from qam_torch.algorithms.base import Algorithm, DivergedError, LossTerm
from qam_torch.algorithms.noise import NamedNoise, member_generators
from qam_torch.algorithms.qam import QAM, QAME, QAMF

__all__ = ["QAM", "QAME", "QAMF", "Algorithm", "DivergedError", "LossTerm", "NamedNoise", "member_generators"]
