"""Sample actions from a flow."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qam_torch.flows import sample_flow
from qam_torch.types import Draw, Noise, QamError, Velocity, require

__all__ = ["ConditionalVelocity", "FlowPolicy", "GuidedField", "sum_of_fields"]

ConditionalVelocity = Callable[[Tensor], Velocity]
"""Function that binds observations (P, B, O) and returns a velocity (x, t) -> f(s, x, t)."""


def sum_of_fields(*fields: ConditionalVelocity) -> ConditionalVelocity:
    """Return the sum of velocity fields, e.g. f_beta + f_theta for a residual policy."""

    def bind(observations: Tensor) -> Velocity:
        velocities = [field(observations) for field in fields]
        return lambda x, t: sum((velocity(x, t) for velocity in velocities[1:]), velocities[0](x, t))

    return bind


class GuidedField:
    """A velocity field plus a guidance velocity. The guidance is undefined at t = 0, so it is left out there.

    Args:
        field: function that binds observations and returns a velocity.
        guidance: (observations (P, B, O), x (P, B, D), float t in (0, 1]) -> velocity (P, B, D), by autograd.

    Source: Li & Levine 2026, CGQL.
    """

    differentiates = True

    def __init__(self, field: ConditionalVelocity, guidance: Callable[[Tensor, Tensor, float], Tensor]) -> None:
        self.field, self.guidance = field, guidance

    def __call__(self, observations: Tensor) -> Velocity:
        """Bind observations (P, B, O), and return the guided velocity (x, t) -> (P, B, D)."""
        velocity = self.field(observations)

        def guided(x: Tensor, t: float | Tensor) -> Tensor:
            time = float(t)
            return velocity(x, t) + self.guidance(observations, x, time) if time > 0 else velocity(x, t)

        return guided


EVALS_PER_STEP = {"euler": 1, "midpoint": 2}
"""Solver -> number of velocity evaluations per step."""


class FlowPolicy:
    """Integrates a flow from noise to an action, and clips the action to [-1, 1].

    Args:
        field: function that binds observations and returns a velocity.
        action_dim: D.
        flow_steps: T, number of velocity evaluations, >= 1.
        solver: "euler" with T steps, or "midpoint" with T / 2 steps.

    Raises:
        QamError: the solver is unknown, or T is not a multiple of the solver's evaluations per step.

    Source: Li & Levine 2026, Euler flow sampling.
    """

    def __init__(self, field: ConditionalVelocity, action_dim: int, flow_steps: int, solver: str = "euler") -> None:
        require("algo.solver", solver in list(EVALS_PER_STEP), solver, " or ".join(EVALS_PER_STEP))
        if flow_steps % EVALS_PER_STEP[solver] != 0:
            raise QamError(
                f"algo.solver={solver} evaluates the flow twice per step, but algo.flow_steps={flow_steps} is odd: "
                f"give an even number, e.g. algo.flow_steps={flow_steps + 1}"
            )
        self.field, self.action_dim, self.flow_steps, self.solver = field, action_dim, flow_steps, solver
        self.differentiates = getattr(field, "differentiates", False)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise: "noise" (B, D)."""
        return {"noise": Draw((batch_size, self.action_dim))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Sample actions: observations (P, B, O) -> actions (P, B, D)."""
        steps = self.flow_steps // EVALS_PER_STEP[self.solver]
        return sample_flow(self.field(observations), noise["noise"], steps, self.solver).clamp(-1, 1)
