"""Run a method's updates on synthetic transitions of any size."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.recording import RecordedGradients
from qam_torch.bench.sizes import PRESETS, Size, method_names
from qam_torch.config.composition import compose
from qam_torch.training.settings import RunSettings, read_settings
from qam_torch.types import Batch, Noise

__all__ = ["PRESETS", "STACK", "Size", "Workload", "count_flops", "flop_counter", "method_names"]

STACK = 20


class Workload:
    """An algorithm that runs updates on synthetic transitions.

    Args:
        algo: name of the method, one of `method_names()`.
        size: sizes of networks and batches.
        population: number of members P, >= 1.
        device: device on which the updates run.
        recorded: whether the update is recorded and replayed.
        capture: value of the config key `capture`: "auto", True or False.
        stack: number of batches per stack, >= 1, as in a trainer step.
        compiled: whether the update is compiled.
        precision: "float32" or "bf16-mixed".
        overrides: overrides of the configuration, e.g. algo.lr=1e-3.
        config_dir: directory with custom configs.
    """

    def __init__(
        self,
        algo: str,
        size: Size,
        population: int = 1,
        device: torch.device | str = "cpu",
        recorded: bool = True,
        capture: bool | str = "auto",
        stack: int = STACK,
        compiled: bool = False,
        precision: str = "float32",
        overrides: Sequence[str] = (),
        config_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.algo, self.size, self.population = algo, size, population
        self.device, self.stack = torch.device(device), stack
        seeds = ",".join(map(str, range(population)))
        words = [f"algo={algo}", "experiment=default", f"seeds=[{seeds}]", f"precision={precision}"]
        words += [f"{key}={str(value).lower()}" for key, value in (("compile", compiled), ("capture", capture))]
        config = compose([*words, *overrides], config_dir)
        self.algorithm = _build(read_settings(config), size, self.device)
        self.algorithm.configure_optimizers()
        self.algorithm.prepare_noise(size.batch_size)
        self.algorithm.recorded = recorded
        self.batch = _synthetic_batch(size, (stack, population, size.batch_size), self.algorithm.chunk_dim, self.device)

    def noise(self, updates: int) -> dict[str, Tensor]:
        """Draw the noise of several updates: name -> (updates, P, ...)."""
        assert self.algorithm.noise is not None
        return self.algorithm.noise.sample(updates)

    def example(self) -> tuple[Batch, Noise]:
        """Return the batch and noise of one update."""
        return self.batch.update(0), {name: draw[0] for name, draw in self.noise(1).items()}

    def run(self, updates: int) -> dict[str, Tensor]:
        """Run updates one stack at a time, as `training_step` does, and return the metrics of the last update."""
        metrics: dict[str, Tensor] = {}
        for done in range(0, updates, self.stack):
            count = min(self.stack, updates - done)
            noise = self.noise(count)
            draws = zip(*(draw.unbind() for draw in noise.values()), strict=True)
            for u, (batch, drawn) in enumerate(zip(self.batch.unbind()[:count], draws, strict=True)):
                metrics = self.algorithm.update(batch, dict(zip(noise, drawn, strict=True)), diagnose=u == count - 1)
        return metrics

    def flops(self) -> int:
        """Count the matrix-product operations of one update. If updates are recorded, the recording is counted."""
        batch, noise = self.example()
        if not self.algorithm.recorded:
            return count_flops(lambda: self.algorithm.gradients(batch, noise))
        recorded = self.algorithm.recordings.get((False, batch.rewards.shape))
        if recorded is None or self.algorithm.compile_update:
            recorded = RecordedGradients(self.algorithm, batch, noise, diagnose=False)
        return count_flops(lambda: recorded(batch, noise))


def flop_counter() -> FlopCounterMode:
    """Create a counter of matrix-product operations that also counts the products in recorded updates."""

    def operations(summand: Sequence[int], a: Sequence[int], b: Sequence[int], **_: Any) -> int:
        return 2 * math.prod(a) * b[-1]

    aten = torch.ops.aten
    recorded = (aten.addmm_, aten.baddbmm_, aten._addmm_activation)
    return FlopCounterMode(display=False, custom_mapping=dict.fromkeys(recorded, operations))


def count_flops(call: Callable[[], Any]) -> int:
    """Count the matrix-product operations of a call, including backward passes and torch.func transforms.

    Args:
        call: function without arguments.

    Returns:
        Number of operations. A multiplication and an addition count as two.
    """
    with flop_counter() as counter:
        call()
    return counter.get_total_flops()


def _build(settings: RunSettings, size: Size, device: torch.device) -> Algorithm:
    """Build the method at this size, in the same way as `qam-train`."""
    sizes = {
        "horizon_length": size.horizon_length,
        "num_qs": size.num_qs,
        "flow_steps": size.flow_steps,
        "actor_hidden_dims": list(size.hidden),
        "value_hidden_dims": list(size.hidden),
    }
    options = settings.method.options
    method = settings.method._replace(options={**options, **{k: v for k, v in sizes.items() if k in options}})
    algorithm = method.build(size.observation_dim, size.action_dim, settings.update.dtype)[0].to(device)
    settings.update.apply(algorithm, device, updates=0)
    return algorithm


def _synthetic_batch(size: Size, lead: tuple[int, ...], width: int, device: torch.device) -> Batch:
    """Create random transitions with the leading axes `lead` = (U, P, B)."""
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
