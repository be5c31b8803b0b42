"""Small algorithms and batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from qam_torch import algorithms
from qam_torch.algorithms import QAM, QAME, QAMF, Algorithm, NamedNoise
from qam_torch.algorithms.core.signatures import annotations_of
from qam_torch.types import Batch

METHODS: dict[str, type[Algorithm]] = {"qam": QAM, "qam_f": QAMF, "qam_e": QAME}
COMMON = {"discount": (0.99, 0.9), "lr": (3e-4, 1e-2), "target_update_rate": (0.005, 0.1), "rho": (0.5, 0.0)}
CGQL = {"inv_temp": (1.0, 10.0), "guidance_coef": (0.1, 1.0)}
OWN: dict[str, dict[str, tuple[float, float]]] = {
    "QAM": {"inv_temp": (0.5, 3.0)},
    "QAMF": {"inv_temp": (0.5, 3.0), "fql_alpha": (3.0, 0.3)},
    "QAME": {"inv_temp": (0.5, 3.0), "edit_scale": (0.1, 0.9), "edit_target_entropy_multiplier": (0.5, 1.0)},
    "BAM": {"inv_temp": (0.5, 3.0)},
    "FQL": {"fql_alpha": (3.0, 0.3)},
    "FEdit": {"edit_scale": (0.1, 0.9), "edit_target_entropy_multiplier": (0.5, 1.0)},
    "FBRAC": {"fbrac_alpha": (0.1, 10.0)},
    "FAWAC": {"inv_temp": (0.8, 6.4)},
    "IFQL": {"kappa": (0.7, 0.95)},
    "CGQL": CGQL,
    "CGQLMSE": {**CGQL, "noisy_coef": (0.1, 1.0)},
    "CGQLLinex": {**CGQL, "noisy_coef": (0.1, 1.0)},
    "DSRL": {"noise_scale": (0.4, 1.4), "target_entropy_multiplier": (0.5, 1.0)},
    "ReBRAC": {"alpha_actor": (0.01, 1.0), "actor_noise": (0.0, 0.2), "actor_noise_clip": (0.5, 0.1)},
    "QSM": {"inv_temp": (1.0, 10.0), "bc_alpha": (1.0, 30.0)},
    "DAC": {"bc_alpha": (0.3, 3.0)},
    "RQL": {"bc_alpha": (1.0, 10.0), "kappa": (0.5, 0.9), "ema": (0.999, 0.9)},
    "RLPD": {"bc_alpha": (0.0, 0.3), "target_entropy_multiplier": (0.5, 1.0)},
}
EVERY_METHOD = {name: {**COMMON, **numbers} for name, numbers in OWN.items()}
"""Every method's class, with all the numbers that may differ between members, for two of them."""

B, H = 6, 3
OBSERVATION_DIM, ACTION_DIM = 3, 2


def make(kind: type[Algorithm], seeds: Sequence[int] = (0,), **options: Any) -> Algorithm:
    defaults: dict[str, Any] = {
        "observation_dim": OBSERVATION_DIM,
        "action_dim": ACTION_DIM,
        "seeds": seeds,
        "horizon_length": H,
        "num_qs": 3,
        "flow_steps": 4,
        "diffusion_steps": 4,
        "inv_temp": 3.0,
        "actor_hidden_dims": (8, 8),
        "value_hidden_dims": (8, 8),
    }
    taken = {name: value for name, value in defaults.items() if name in annotations_of(kind)}
    algorithm = kind(**{**taken, **options}).double()
    algorithm.configure_optimizers()
    return algorithm


def make_batch(members: int, seed: int = 0, width: int = H * ACTION_DIM) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(members, B, *shape, generator=generator, dtype=torch.float64)

    return Batch(
        normal(OBSERVATION_DIM),
        normal(width).clamp(-1, 1),
        -normal().abs(),
        (normal() > 0).double(),
        (normal() > -1).double(),
        normal(OBSERVATION_DIM),
    )


def make_noise(algorithm: Algorithm, updates: int = 1) -> dict[str, torch.Tensor]:
    source = NamedNoise(algorithm.draws(B), algorithm.seeds, "test", dtype=torch.float64)
    return source.sample(updates)


def kind_of(name: str) -> type[Algorithm]:
    return getattr(algorithms, name)
