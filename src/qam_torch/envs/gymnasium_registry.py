"""Make any registered Gymnasium environment with vector observations, wrapped so that it takes actions in [-1, 1].

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box

from qam_torch.system.opengl import renderer_optional
from qam_torch.types import QamError

__all__ = ["GOAL_PARTS", "GoalObservation", "UnitAction", "make_registered"]

GOAL_PARTS = ("observation", "desired_goal")
"""The parts of a goal-conditioned observation that are used, in this order."""


class GoalObservation(gymnasium.ObservationWrapper):
    """Concatenates the observation and the desired goal of a goal-conditioned environment."""

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(environment)
        low, high = (
            np.concatenate([getattr(environment.observation_space[part], end) for part in GOAL_PARTS])  # type: ignore[index]
            for end in ("low", "high")
        )
        self.observation_space = Box(low, high, dtype=low.dtype.type)

    def observation(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        """Convert the dictionary of an observation to a vector (O,)."""
        return np.concatenate([observation[part] for part in GOAL_PARTS])


class UnitAction(gymnasium.ActionWrapper):
    """Takes actions in [-1, 1] and scales them to the bounds of the environment.

    The result is always within the bounds, also after rounding and for actions outside [-1, 1]. Gymnasium's
    RescaleAction does not guarantee this.

    Attributes:
        low: (A,), lower bounds of the environment's actions, finite.
        high: (A,), upper bounds of the environment's actions, finite.
    """

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(environment)
        space = environment.action_space
        assert isinstance(space, Box)
        self.low, self.high, self._dtype = space.low.astype(np.float64), space.high.astype(np.float64), space.dtype
        self.action_space = Box(-1.0, 1.0, space.shape, np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        """Scale an action (A,) in [-1, 1] to the environment's bounds."""
        center, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return np.clip(center + half * action, self.low, self.high).astype(self._dtype)


def make_registered(spec: str, max_episode_steps: int | None = None, **options: Any) -> UnitAction:
    """Make an environment from its name in Gymnasium's registry, or from its specification.

    A specification can only make the environment that is registered under its name. So an untrusted dataset or
    checkpoint cannot run other code.

    Args:
        spec: "Pendulum-v1"; "package.module:Name-v0", whose module is imported first; or an EnvSpec as JSON.
        max_episode_steps: time limit that replaces the registered one; None keeps the registered one.
        options: further keyword arguments of the environment, e.g. render_mode="rgb_array".

    Returns:
        A gymnasium environment, not yet reset, with vector observations and actions in [-1, 1]. A goal-conditioned
        environment is wrapped in `GoalObservation`.

    Raises:
        QamError: the environment does not exist, cannot be made, or has unsupported spaces.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about newer versions; the dataset determines it
            environment = renderer_optional(
                lambda: gymnasium.make(
                    _trusted(EnvSpec.from_json(spec)) if spec.startswith("{") else spec,
                    max_episode_steps=max_episode_steps,
                    disable_env_checker=True,
                    **options,
                )
            )
    except QamError:
        raise
    except Exception as error:  # an environment's constructor can raise anything
        reason = " ".join(str(error).split()).rstrip(".")
        raise QamError(
            f"environment {_name(spec)!r} cannot be made ({type(error).__name__}: {reason}): install what registers "
            "it, and name it package.module:Name-v0 if that module has to be imported first"
        ) from error
    try:
        return UnitAction(_checked(environment, _name(spec)))
    except BaseException:
        environment.close()
        raise


def _checked(environment: gymnasium.Env, name: str) -> gymnasium.Env:
    """Return the environment with vector observations, and raise QamError if its spaces are not supported."""
    observed, acted = environment.observation_space, environment.action_space
    if isinstance(observed, gymnasium.spaces.Dict) and all(_is_vector(observed.get(part)) for part in GOAL_PARTS):
        environment = GoalObservation(environment)
    elif not _is_vector(observed):
        raise QamError(
            f"environment {name!r} has observations {_brief(observed)}, expected a Box with one axis or a "
            "goal-conditioned dictionary of such: register it with a wrapper that flattens them"
        )
    if not _is_vector(acted) or acted.dtype.kind != "f":  # type: ignore[union-attr]
        raise QamError(
            f"environment {name!r} has actions {_brief(acted)}, expected a Box of real numbers with one axis: "
            "only continuous actions are supported"
        )
    assert isinstance(acted, Box)
    if not (np.isfinite(acted.low) & np.isfinite(acted.high)).all():
        raise QamError(
            f"environment {name!r} has actions without finite bounds, {_brief(acted)}, which cannot be scaled to "
            "[-1, 1]: register it with a wrapper that bounds them"
        )
    if (fixed := acted.low >= acted.high).any():
        where = int(np.argmax(fixed))
        raise QamError(
            f"environment {name!r} has the bounds {acted.low[where]:g} and {acted.high[where]:g} in dimension {where} "
            "of its actions, which allow a single value: register it with a wrapper that removes this dimension"
        )
    return environment


def _is_vector(space: gymnasium.Space | None) -> bool:
    return isinstance(space, Box) and len(space.shape) == 1


def _trusted(spec: EnvSpec) -> EnvSpec:
    """Return the specification if it is safe, otherwise raise QamError.

    It is safe if its entry point is the one registered under its name, and all its wrappers are Gymnasium's. This is
    checked because a dataset or checkpoint may be untrusted, and its entry point could be any Python function.
    """
    point = str(spec.entry_point)
    if spec.id not in gymnasium.registry:  # a package registers its environments when it is imported
        importlib.import_module(point.split(":")[0].split(".")[0])
    registered = gymnasium.registry.get(spec.id)
    if registered is None or registered.entry_point != spec.entry_point:
        raise QamError(
            f"environment {spec.id!r} names the entry point {point}, which is not registered under this name: "
            "install and register it, and only use data and checkpoints that you trust"
        )
    for wrapper in spec.additional_wrappers:
        if not wrapper.entry_point.startswith("gymnasium.wrappers."):
            raise QamError(
                f"environment {spec.id!r} names the wrapper {wrapper.entry_point}, which is not part of Gymnasium: "
                "register the wrapped environment under its own name"
            )
    return spec


def _name(spec: str) -> str:
    try:
        return EnvSpec.from_json(spec).id if spec.startswith("{") else spec
    except Exception:  # not a valid specification; the caller reports the error
        return spec[:80]


def _brief(space: gymnasium.Space) -> str:
    """Describe a space in about 80 characters, because the bounds of a large Box would fill pages."""
    text = " ".join(str(space).split())
    return text if len(text) <= 80 else f"{text[:80]}..."
