"""One LightningModule per method; `core` has the shared update."""

from qam_torch.algorithms.bam import BAM
from qam_torch.algorithms.cgql import CGQL, CGQLMSE, CGQLLinex
from qam_torch.algorithms.core.actor_critic import ActorCritic, FlowActorCritic
from qam_torch.algorithms.core.algorithm import Algorithm, LossTerm
from qam_torch.algorithms.core.lightning import DivergedError
from qam_torch.algorithms.core.noise import NamedNoise, member_generators
from qam_torch.algorithms.diffusion import DAC, QSM
from qam_torch.algorithms.dsrl import DSRL
from qam_torch.algorithms.fawac import FAWAC
from qam_torch.algorithms.fbrac import FBRAC
from qam_torch.algorithms.fedit import FEdit
from qam_torch.algorithms.fql import FQL
from qam_torch.algorithms.ifql import IFQL
from qam_torch.algorithms.qam import QAM, QAME, QAMF
from qam_torch.algorithms.rebrac import ReBRAC
from qam_torch.algorithms.rlpd import RLPD
from qam_torch.algorithms.rql import RQL

__all__ = [
    "BAM",
    "CGQL",
    "CGQLMSE",
    "DAC",
    "DSRL",
    "FAWAC",
    "FBRAC",
    "FQL",
    "IFQL",
    "QAM",
    "QAME",
    "QAMF",
    "QSM",
    "RLPD",
    "RQL",
    "ActorCritic",
    "Algorithm",
    "CGQLLinex",
    "DivergedError",
    "FEdit",
    "FlowActorCritic",
    "LossTerm",
    "NamedNoise",
    "ReBRAC",
    "member_generators",
]
