"""The arithmetic of an update: how many operations it has, in which part, and how many the machine can do a second.

Only matrix products are counted (a multiplication and an addition are two operations): they are nearly all of the
arithmetic, and their best rate on a machine can be measured.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from qam_torch.algorithms import QAM
from qam_torch.flows import lean_adjoint, sample_memoryless, terminal_adjoint
from qam_torch.objectives import (
    AdjointTargets,
    adjoint_matching,
    behavior_loss,
    pessimistic_value,
    td_loss,
    td_target,
)
from qam_torch.types import Batch, Noise

__all__ = ["count_flops", "machine", "matrix_peak", "measure_parts", "seconds", "update_in_parts"]

PEAK_SIZES = (1024, 2048, 4096)
PEAK_SECONDS = 0.5


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Wall time of a call, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def count_flops(call: Callable[[], Any]) -> int:
    """Matrix-product operations of a call: forward, backward, and inside torch.func.

    A captured update replays a few products less, because the outputs of the base flow that the lean adjoint never
    looks at are dropped there: T last layers, 0.1 % at the paper's size.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def matrix_peak(device: torch.device) -> float:
    """Operations a second of the best of several square float32 products: 1024, 2048, and 4096 where it is quick.

    Each size is repeated for half a second, and at least three times; the fastest single product counts.
    """
    best = 0.0
    for size in PEAK_SIZES:
        flops = 2 * size**3
        if best and flops / best > PEAK_SECONDS * 4:
            break
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        out = torch.mm(a, b)
        count, spent = 0, 0.0
        while count < 3 or spent < PEAK_SECONDS:
            once = seconds(partial(torch.mm, a, b, out=out), device)
            count, spent, best = count + 1, spent + once, max(best, flops / once)
    return best


def update_in_parts(algorithm: QAM, batch: Batch, noise: Noise) -> Iterator[str]:
    """One uncaptured update of plain QAM, as `algorithm.update` makes it, that stops after each part to say its name.

    algorithm  QAM itself with `residual` off; the update is made in place
    batch, noise  as for `Algorithm.update`
    ->         the name of the part just done, in order
    """
    networks, targets, observations = algorithm.networks, algorithm.targets, batch.observations
    with torch.no_grad():
        next_actions = algorithm.next_actions(batch, noise)
    yield "acting in the TD target"

    with torch.no_grad():
        next_value = pessimistic_value(targets["critic"](batch.next_observations, next_actions), algorithm.rho)
        target = td_target(batch.rewards, batch.masks, next_value, algorithm.chunk_discount)
    critic_loss, _ = td_loss(networks["critic"], observations, batch.actions, target, batch.valid)
    _differentiate(critic_loss, networks["critic"])
    yield "critic"

    bound = networks["f_beta"].bind(observations)  # type: ignore[operator]
    behavior, _ = behavior_loss(bound, batch.actions, noise["flow_x0"], noise["flow_t"], batch.valid)
    _differentiate(behavior, networks["f_beta"])
    yield "flow matching"

    flow_steps, kept = algorithm.flow_steps, []
    f_theta = networks["f_theta"].bind(observations)  # type: ignore[operator]
    with torch.no_grad():
        f_beta = (targets if algorithm.target_actor else networks)["f_beta"].bind(observations)  # type: ignore[operator]

    def sampled(x: Tensor, t: float | Tensor) -> Tensor:
        kept.append(f_theta(x, t))
        return kept[-1]

    path = sample_memoryless(sampled, f_beta, noise["sde_x0"], noise["sde_noise"].transpose(0, 1), flow_steps)
    yield "memoryless SDE"

    critic = (targets if algorithm.use_target_grad else networks)["critic"]
    bounds = (-1, 1) if algorithm.clip_adj else (None, None)
    with torch.no_grad():
        inv_temp = algorithm.member_value("inv_temp", ndim=3)
        terminal = terminal_adjoint(lambda x: critic(observations, x.clamp(*bounds)).mean(-2), path.x_1, inv_temp)
        adjoints = lean_adjoint(f_beta, path.xs, terminal)
    yield "lean adjoint"

    kept.append(f_theta(path.xs[-1], 1 - 1 / flow_steps))
    base = [path.base_velocity.unsqueeze(0)]
    if flow_steps > 1:
        with torch.no_grad():
            times = torch.arange(flow_steps - 1, device=terminal.device, dtype=terminal.dtype) / flow_steps
            base.insert(0, f_beta(path.xs[:-1], times.view(-1, 1, 1, 1)))
    correction = torch.stack(kept) - torch.cat(base)
    matching, _ = adjoint_matching(AdjointTargets(path.xs, correction, adjoints, terminal))
    _differentiate(matching, networks["f_theta"])
    yield "regression"

    algorithm.apply_gradients()
    yield "Polyak, clipping, Adam"


def _differentiate(loss: Tensor, network: nn.Module) -> None:
    parameters = list(network.parameters())
    for p, g in zip(parameters, torch.autograd.grad(loss.sum(), parameters), strict=True):
        p.grad = g.contiguous()


def measure_parts(algorithm: QAM, batch: Batch, noise: Noise, repeats: int) -> dict[str, dict[str, float]]:
    """Part of an uncaptured update -> median milliseconds `ms`, and `gflop`, which add up to the whole update's."""
    flops, before = {}, 0
    with FlopCounterMode(display=False) as counter:
        for name in update_in_parts(algorithm, batch, noise):
            flops[name], before = counter.get_total_flops() - before, counter.get_total_flops()
    times: dict[str, list[float]] = {name: [] for name in flops}
    for _ in range(repeats):
        parts = update_in_parts(algorithm, batch, noise)
        for name in flops:
            times[name].append(seconds(partial(next, parts), batch.rewards.device))
    return {name: {"ms": 1e3 * statistics.median(times[name]), "gflop": count / 1e9} for name, count in flops.items()}


def machine(device: torch.device) -> dict[str, Any]:
    """What figures are measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = named[0] if named else cpu
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
