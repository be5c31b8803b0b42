"""Does adjoint matching sample p_beta(x) exp(inv_temp Q(x))? Measured against exact draws, with a table and a picture.

    python scripts/tilted_density.py                               # the whole table, several minutes on two cores
    python scripts/tilted_density.py --steps 10 --figure ten.png   # one line of it

Base flows with a closed-form velocity stand in for a trained f_beta, so that every error seen is adjoint matching's.
The yardstick is the sliced Wasserstein-1 distance to the tilted density, as a share of the base flow's own distance:
1 is no better than not fine-tuning at all.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from closed_form import Bumps, Gaussian, Mixture, Quadratic, Sampler, Value, rejection_sampler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qam_torch.flows import Discretization, sample_flow, terminal_adjoint
from qam_torch.flows.discretization import PAPER
from qam_torch.types import Velocity

FIGURE = Path("docs/images/tilted_density.png")


class Problem(NamedTuple):
    """A base flow, a critic, and exact draws of the density that the fine-tuned flow should have.

    base      its velocity and draws
    value     Q, (..., D) -> (...)
    inv_temp  weight of Q against the base density
    exact     (n, generator) -> (n, D), draws of p_beta exp(inv_temp Q)
    """

    base: Gaussian | Mixture
    value: Value
    inv_temp: float
    exact: Sampler


def gaussian_problem() -> Problem:
    """A narrow Gaussian whose tilted density is a Gaussian in closed form."""
    base = Gaussian(torch.tensor([-0.4, 0.2]), torch.tensor([[0.16, 0.06], [0.06, 0.09]]))
    value = Quadratic(torch.tensor([1.0, 0.8]), torch.tensor([[1.0, -0.3], [-0.3, 0.8]]))
    return Problem(base, value, 3.0, value.tilt(base, 3.0).sample)


def mixture_problem() -> Problem:
    """Six modes on a ring; the critic likes two of them, and as much a place inside the ring where no data are."""
    angle = torch.arange(6) * (math.pi / 3)
    base = Mixture(2 * torch.stack([angle.cos(), angle.sin()], -1), 0.4)
    value = Bumps(torch.tensor([[1.8, 0.9], [-0.6, -0.3]]), torch.tensor([1.0, 1.0]), torch.tensor([1.4, 0.6]))
    return Problem(base, value, 5.0, rejection_sampler(base, value, 5.0, value.upper_bound()))


class MLPCorrection(nn.Module):
    """f_theta - f_beta = (1 - t + dt) MLP([x, t]), zero at the start, so that f_theta starts at f_beta.

    The factor is that of the optimum, -sigma^2 g / 2 with sigma^2 = 2 (1 - t + dt) / (t + dt): g / (t + dt) has a
    finite limit at both ends.
    """

    def __init__(self, flow_steps: int, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.end = 1 + 1 / flow_steps
        widths = [3, *[width] * depth]
        hidden = [layer for a, b in zip(widths, widths[1:], strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]
        last = nn.Linear(width, 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(*hidden, last)

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """x (..., 2), t a number or broadcastable to (..., 1) -> (..., 2)."""
        time_input = torch.as_tensor(t, dtype=x.dtype).expand(*x.shape[:-1], 1)
        return (self.end - t) * self.net(torch.cat([x, time_input], -1))


class LinearCorrection(nn.Module):
    """f_theta - f_beta = A_i x + b_i at node i: with a Gaussian base and a quadratic critic the optimum is linear."""

    def __init__(self, flow_steps: int) -> None:
        super().__init__()
        self.flow_steps = flow_steps
        self.gain = nn.Parameter(torch.zeros(flow_steps, 2, 2))
        self.offset = nn.Parameter(torch.zeros(flow_steps, 1, 2))

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        """x (B, 2) at the node t = i / T, or a whole path (T, B, 2) with t (T, 1, 1)."""
        if isinstance(t, Tensor):
            return torch.baddbmm(self.offset, x, self.gain)
        node = round(t * self.flow_steps)
        return x @ self.gain[node] + self.offset[node]


class Tuning(NamedTuple):
    """How f_theta is trained: Adam on the loss of fresh paths, cosine learning rate, averaged parameters."""

    updates: int
    batch_size: int = 512
    learning_rate: float = 5e-3
    # The lean adjoint has heavy tails where a path passes between two modes: one such path must not rule a step.
    clip: float = 100.0
    average: float = 0.98


def fine_tune(
    problem: Problem,
    correction: nn.Module,
    flow_steps: int,
    tuning: Tuning,
    seed: int = 0,
    discretization: Discretization = PAPER,
) -> Velocity:
    """Train f_theta = f_beta + correction by adjoint matching alone; -> f_theta with averaged parameters."""
    generator = torch.Generator().manual_seed(seed)
    base_velocity = problem.base.velocity
    optimizer = torch.optim.Adam(correction.parameters(), lr=tuning.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, tuning.updates)
    averaged = AveragedModel(correction, multi_avg_fn=get_ema_multi_avg_fn(tuning.average))
    nodes = (torch.arange(flow_steps) / flow_steps).view(-1, 1, 1)
    for _ in range(tuning.updates):
        draws = torch.randn(flow_steps, tuning.batch_size, 2, generator=generator)
        with torch.no_grad():
            path = discretization.sample(
                lambda x, t: base_velocity(x, t) + correction(x, t), base_velocity, draws[0], draws[1:], flow_steps
            )
        adjoint_1 = terminal_adjoint(problem.value, path.x_1, problem.inv_temp)
        adjoints = discretization.adjoints(base_velocity, path.xs, adjoint_1)
        loss = discretization.loss(correction(path.xs, nodes), adjoints)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(correction.parameters(), tuning.clip)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(correction)
    return lambda x, t: base_velocity(x, t) + averaged(x, t)


def additive_guidance(problem: Problem) -> Velocity:
    """The usual shortcut: the base velocity plus (1 - t) inv_temp dQ/dx at X_t."""
    return lambda x, t: problem.base.velocity(x, t) - (1 - t) * terminal_adjoint(problem.value, x, problem.inv_temp)


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = 256) -> float:
    """Mean over directions in the plane of the Wasserstein-1 distance between the projections; x, y (n, 2)."""
    angle = torch.arange(directions, dtype=x.dtype) * (math.pi / directions)
    projection = torch.stack([angle.cos(), angle.sin()])
    return float(((x @ projection).sort(0).values - (y @ projection).sort(0).values).abs().mean())


class Yardstick:
    """Distances to exact draws of the tilted density, as a share of the base density's own distance."""

    def __init__(self, problem: Problem, n: int = 40_000, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.exact = problem.exact(n, generator)
        self.noise = torch.randn(n, 2, generator=generator)
        self.base_distance = sliced_wasserstein(problem.base.sample(n, generator), self.exact)
        self.floor = sliced_wasserstein(problem.exact(n, generator), self.exact) / self.base_distance

    def draws(self, velocity: Velocity, steps: int, method: str = "euler") -> Tensor:
        """Samples of a flow with steps of a solver."""
        with torch.no_grad():
            return sample_flow(velocity, self.noise, steps, method)

    def share(self, velocity: Velocity, steps: int, method: str = "euler") -> float:
        """Distance of the flow's samples to the exact draws over the base's distance to them."""
        return sliced_wasserstein(self.draws(velocity, steps, method), self.exact) / self.base_distance


class Case(NamedTuple):
    """A part of the table: a problem, the family of corrections, and their training for each number of steps."""

    name: str
    problem: Problem
    family: Callable[[int], nn.Module]
    tuning: dict[int, Tuning]


def cases() -> list[Case]:
    """The two problems of the table."""
    linear = Tuning(updates=300, learning_rate=3e-2)
    # From 50 steps on, what is left is mostly noise of training, so a finer grid only shows after a longer one.
    mlp = {10: Tuning(updates=300), 50: Tuning(updates=400), 100: Tuning(updates=800)}
    return [
        Case("Gaussian base, quadratic critic", gaussian_problem(), LinearCorrection, dict.fromkeys(mlp, linear)),
        Case("mixture of six, critic with a decoy", mixture_problem(), MLPCorrection, mlp),
    ]


def main() -> None:
    """Print the table and draw the picture from the mixture's largest number of steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", choices=[10, 50, 100], default=[10, 50, 100])
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the picture goes (%(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    print("sliced Wasserstein-1 to exact draws of p_beta exp(inv_temp Q), as a share of the base flow's own distance\n")
    for name, problem, family, tuning in cases():
        yardstick, guided = Yardstick(problem), additive_guidance(problem)
        print(
            f"{name}: base flow's distance {yardstick.base_distance:.3f}, share of a second exact draw "
            f"{yardstick.floor:.3f}"
        )
        print(f"{'steps':>7}{'adjoint matching':>19}{'additive guidance':>20}{'updates':>10}{'training':>11}")
        for steps in arguments.steps:
            torch.manual_seed(0)
            start = time.perf_counter()
            f_theta = fine_tune(problem, family(steps), steps, tuning[steps])
            seconds = time.perf_counter() - start
            matched, additive = yardstick.share(f_theta, steps), yardstick.share(guided, steps)
            print(
                f"{steps:>7}{matched:>19.3f}{additive:>20.3f}{tuning[steps].updates:>10}{seconds:>9.0f} s", flush=True
            )
        print()
    from tilted_figure import draw_figure  # not at the top: importing this study should not need matplotlib

    share = "distance to target {:.0%} of the behavior flow's"
    panels = {
        "Behavior flow\nsamples of $p_\\beta$": yardstick.draws(problem.base.velocity, steps),
        "Target\ndensity $p_\\beta\\,e^{\\tau Q}$, contours of $Q$": yardstick.exact,
        f"Adjoint matching\n{share.format(matched)}": yardstick.draws(f_theta, steps),
        f"Additive guidance\n{share.format(additive)}": yardstick.draws(guided, steps),
    }
    assert isinstance(problem.base, Mixture)
    assert isinstance(problem.value, Bumps)
    draw_figure(problem.base, problem.value, problem.inv_temp, panels, arguments.figure)
    print(f"picture of the last line: {arguments.figure}")


if __name__ == "__main__":
    main()
