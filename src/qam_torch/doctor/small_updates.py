"""Build small algorithms in float64, and update them on given batches and noise."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.algorithms import Algorithm, NamedNoise
from qam_torch.config.composition import compose
from qam_torch.training.settings import read_settings
from qam_torch.types import Batch, Noise

__all__ = ["METHODS", "Inputs", "largest_difference", "small_algorithm", "small_inputs", "state_after"]

METHODS = ("qam", "fql", "rql")
OBSERVATION_DIM, ACTION_DIM, ROWS = 4, 2, 16
SIZES = {
    "horizon_length": 3,
    "num_qs": 3,
    "flow_steps": 4,
    "actor_hidden_dims": [16, 16],
    "value_hidden_dims": [16, 16],
}

Inputs = list[tuple[Batch, Noise]]


def small_algorithm(name: str, device: torch.device, capture: bool | str = False) -> Algorithm:
    """Build a method with two members and networks with two hidden layers of width 16, ready for updates.

    Args:
        name: name of the method, as in algo=NAME.
        device: device of the algorithm.
        capture: value of the configuration key `capture`.
    """
    settings = read_settings(compose([f"algo={name}", "experiment=default", "seeds=[0,1]"]))
    options = settings.method.options
    method = settings.method._replace(options={**options, **{k: v for k, v in SIZES.items() if k in options}})
    algorithm = method.build(OBSERVATION_DIM, ACTION_DIM, torch.float64)[0].to(device)
    algorithm.capture = capture
    algorithm.configure_optimizers()
    return algorithm


def small_inputs(algorithm: Algorithm, updates: int) -> Inputs:
    """Generate batches and noise, which are the same on every device."""
    device, members = algorithm.device, algorithm.members
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(updates, members, ROWS, *shape, generator=generator, dtype=torch.float64)

    batches = Batch(
        observations=normal(OBSERVATION_DIM),
        actions=normal(algorithm.chunk_dim).clamp(-1, 1),
        rewards=-normal().abs(),
        masks=(normal() > -1).double(),
        valid=torch.ones(updates, members, ROWS, dtype=torch.float64),
        next_observations=normal(OBSERVATION_DIM),
    )
    noise = NamedNoise(algorithm.draws(ROWS), algorithm.seeds, "doctor", dtype=torch.float64).sample(updates)
    return [
        (Batch(*(field[u].to(device) for field in batches)), {name: draw[u].to(device) for name, draw in noise.items()})
        for u in range(updates)
    ]


def state_after(algorithm: Algorithm, inputs: Inputs) -> dict[str, Tensor]:
    """Update the algorithm on the inputs, and return its parameters on the CPU. Every third update computes metrics."""
    for u, (batch, noise) in enumerate(inputs):
        algorithm.update(batch, noise, diagnose=u % 3 == 2)
    return {name: value.detach().cpu().clone() for name, value in algorithm.state_dict().items()}


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Return the largest difference relative to the largest entry of its tensor, or infinity if it is not finite."""
    worst = 0.0
    for name, value in first.items():
        error = (value - second[name]).abs().max() / value.abs().max().clamp(min=1e-30)
        worst = max(worst, error.item() if torch.isfinite(error) else float("inf"))
    return worst
