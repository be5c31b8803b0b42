"""A method at work on synthetic transitions, at a size that is chosen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
from omegaconf import DictConfig
from torch import Tensor

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.capture import CapturedGradients
from qam_torch.experiment.bench.measuring import count_flops
from qam_torch.experiment.configuration import compose
from qam_torch.experiment.groups import options_of, with_config_directory
from qam_torch.experiment.parts import arrange_update, build_algorithm
from qam_torch.types import Batch, Noise

__all__ = ["PRESETS", "STACK", "Size", "Workload", "methods"]

STACK = 20


class Size(NamedTuple):
    """What an update's cost depends on; the names are those of the algorithms' arguments.

    A method that has no `flow_steps` goes without; what else it has, such as IFQL's 32 candidates or the denoising
    steps of QSM, is as its config says.
    """

    observation_dim: int
    action_dim: int
    horizon_length: int
    hidden: tuple[int, ...]
    num_qs: int
    batch_size: int
    flow_steps: int


PRESETS = {
    "small": Size(2, 2, 5, (128, 128), 2, 128, 5),
    "medium": Size(46, 5, 5, (128, 128), 10, 256, 10),
    "paper": Size(46, 5, 5, (512, 512, 512, 512), 10, 256, 10),
}


def methods(config_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Every `algo=NAME` that there is, those in a directory with configs of one's own among them."""
    return options_of("algo", with_config_directory([], config_dir))


class Workload:
    """An algorithm at work on synthetic transitions.

    algo        str         one of `methods()`
    size        Size
    population  int >= 1    P
    capture     bool        record the update and replay it
    stack       int >= 1    batches stacked for one call, as for a trainer's step
    compiled    bool        compile the update
    precision   "full" or "bf16-mixed"
    overrides   more of the configuration, e.g. algo.lr=1e-3
    config_dir  where else than among the library's configs the method may be
    """

    def __init__(
        self,
        algo: str,
        size: Size,
        population: int = 1,
        device: torch.device | str = "cpu",
        capture: bool = True,
        stack: int = STACK,
        compiled: bool = False,
        precision: str = "full",
        overrides: Sequence[str] = (),
        config_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.device, self.stack = torch.device(device), stack
        seeds = ",".join(map(str, range(population)))
        words = [f"algo={algo}", "experiment=train", f"seeds=[{seeds}]", f"precision={precision}"]
        config = compose([*words, f"compile={str(compiled).lower()}", *overrides], config_dir)
        self.algorithm = _built(config, size, self.device)
        self.algorithm.configure_optimizers()
        self.algorithm.prepare_noise(size.batch_size)
        self.algorithm.capture = capture
        self.batch = _synthetic(size, (stack, population, size.batch_size), self.algorithm.chunk_dim, self.device)

    def noise(self, updates: int) -> dict[str, Tensor]:
        """name -> (updates, P, ...)."""
        assert self.algorithm.noise is not None
        return self.algorithm.noise.sample(updates)

    def example(self) -> tuple[Batch, Noise]:
        """One update's batch and noise."""
        return self.batch.update(0), {name: draw[0] for name, draw in self.noise(1).items()}

    def run(self, updates: int) -> dict[str, Tensor]:
        """Make the updates, a stack at a time, and return the last one's metrics: what `training_step` does."""
        metrics: dict[str, Tensor] = {}
        for done in range(0, updates, self.stack):
            count = min(self.stack, updates - done)
            noise = self.noise(count)
            draws = zip(*(draw.unbind() for draw in noise.values()), strict=True)
            for u, (batch, drawn) in enumerate(zip(self.batch.unbind()[:count], draws, strict=True)):
                metrics = self.algorithm.update(batch, dict(zip(noise, drawn, strict=True)), diagnose=u == count - 1)
        return metrics

    def flops(self) -> int:
        """Matrix-product operations of one update: of the recorded one, if it is captured."""
        batch, noise = self.example()
        if not self.algorithm.capture:
            return count_flops(lambda: self.algorithm.gradients(batch, noise))
        recorded = self.algorithm.captured.get((False, batch.rewards.shape))
        if recorded is None or self.algorithm.compile_update:
            recorded = CapturedGradients(self.algorithm, batch, noise, diagnose=False)
        return count_flops(lambda: recorded(batch, noise))


def _built(config: DictConfig, size: Size, device: torch.device) -> Algorithm:
    """The method as `qam-train` builds it, in this size."""
    sizes = {
        "horizon_length": size.horizon_length,
        "num_qs": size.num_qs,
        "flow_steps": size.flow_steps,
        "actor_hidden_dims": list(size.hidden),
        "value_hidden_dims": list(size.hidden),
    }
    config.algo.update({name: value for name, value in sizes.items() if name in config.algo})
    algorithm = build_algorithm(config, size.observation_dim, size.action_dim)[0].to(device)
    arrange_update(algorithm, config, device, updates=0)
    return algorithm


def _synthetic(size: Size, lead: tuple[int, ...], width: int, device: torch.device) -> Batch:
    """Random transitions; lead  (U, P, B)."""
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        observations=torch.randn(*lead, size.observation_dim, generator=generator),
        actions=torch.rand(*lead, width, generator=generator) * 2 - 1,
        rewards=-torch.rand(lead, generator=generator),
        masks=torch.ones(lead),
        valid=torch.ones(lead),
        next_observations=torch.randn(*lead, size.observation_dim, generator=generator),
    )
    return Batch(*(field.to(device) for field in batch))
