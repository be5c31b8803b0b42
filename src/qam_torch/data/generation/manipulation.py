"""OGBench's recipes for the robot arm (cube, scene, puzzle): oracles reach one target after another.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

import copy
import functools
import importlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qam_torch.data.generation.environments import make_world
from qam_torch.data.generation.episode_files import Episode
from qam_torch.data.generation.numpy_seeding import integer_seed, numpy_seeded

__all__ = ["ManipulationEpisode", "Stage", "block_is_visible", "stage"]

# All these values are from OGBench.
_STACKING = {
    "single": (0.0, 0.0),
    "double": (0.0, 0.25),
    "triple": (0.05, 0.35),
    "quadruple": (0.1, 0.5),
    "octuple": (0.0, 0.35),
}
_STACKING_ELSEWHERE = (0.5, 0.5)
_RANDOM_ACTIONS = {"cube": 0.1, "scene": 0.1, "puzzle": 0.2}
_LARGEST_NOISE = 0.1
_NOISE_SCALE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])
_TARGETS = {"cube": ("cube",), "scene": ("cube", "button", "drawer", "window"), "puzzle": ("button",)}
_PLAN_OPTIONS = {"noise": 0.1, "noise_smoothing": 0.5}
_MARKOV_OPTIONS = {"min_norm": 0.4}

Kind = Literal["play", "noisy"]


@dataclass(frozen=True)
class ManipulationEpisode:
    """Makes one episode, in which oracles reach random targets one after another.

    A call with (seed, index, rows), rows >= 2, returns the arrays observations, actions, terminals, qpos and qvel. It
    also returns button_states if the environment has buttons. Each array has `rows` rows, and `terminals` is True in
    the last row. The result depends only on seed, index and rows, not on earlier episodes. The oracles draw from
    numpy's global generator, whose state is restored afterwards.

    Args:
        environment: registered goal-conditioned environment, e.g. "cube-triple-v0", "scene-v0", "puzzle-4x4-v0".
        kind: "play" uses oracles that follow a plan with smooth noise. "noisy" uses oracles that react to the state.
            The strength of their action noise is drawn once per episode, and some actions are drawn uniformly.

    Source: Park et al. 2025 (OGBench), manipulation data.
    """

    environment: str
    kind: Kind

    def __call__(self, seed: int, index: int, rows: int) -> Episode:
        assert rows >= 2
        episode, attempt = None, 0
        while episode is None:
            episode = self._attempt(np.random.SeedSequence([seed, index, attempt]), rows)
            attempt += 1
        return episode

    def _attempt(self, seed: np.random.SeedSequence, rows: int) -> Episode | None:
        """Make an episode, or return None if OGBench would reject it."""
        family, variant = self.environment.split("-")[:2]
        noisy = self.kind == "noisy"
        here = stage(self.environment, self.kind)
        kept = ["qpos", "qvel"] + ["button_states"] * hasattr(here.world, "_cur_button_states")
        record: dict[str, list[np.ndarray]] = {key: [] for key in ("observations", "actions", *kept)}
        global_seed, reset_seed, own_seed = seed.spawn(3)
        rng = np.random.default_rng(own_seed)
        with numpy_seeded(global_seed):
            observation, info = here.reset(integer_seed(reset_seed))
            p_stack = rng.uniform(*_STACKING.get(variant, _STACKING_ELSEWHERE))
            noise = noisy * rng.uniform(0.0, _LARGEST_NOISE) * _NOISE_SCALE
            random_actions = noisy * _RANDOM_ACTIONS[family]
            oracle = here.oracles[info["privileged/target_task"]]
            oracle.reset(observation, info)
            for _ in range(rows):
                if rng.random() < random_actions:
                    action = rng.uniform(-1.0, 1.0, len(noise))
                else:
                    action = oracle.select_action(observation, info) + rng.normal(0.0, noise)
                action = np.clip(action, -1.0, 1.0)
                following, _, _, _, info = here.world.step(action)
                if family == "scene" and not block_is_visible(info["prev_qpos"]):
                    return None
                if oracle.done:
                    # The next oracle plans for the new target, but its first step uses `info` of the old one.
                    target = here.world.set_new_target(p_stack=p_stack)
                    oracle = here.oracles[target[1]["privileged/target_task"]]
                    oracle.reset(*target)
                record["observations"].append(observation)
                record["actions"].append(action)
                for key in kept:
                    record[key].append(info[f"prev_{key}"])
                observation = following
        dtypes = {"button_states": np.int64}
        arrays = {key: np.asarray(values, dtypes.get(key, np.float32)) for key, values in record.items()}
        arrays["terminals"] = np.arange(rows) == rows - 1
        return arrays


def block_is_visible(qpos: np.ndarray) -> bool:
    """Check whether the block is visible in images.

    The block must not be too far right. It must not be too far left either, unless it is in the drawer. OGBench rejects
    an episode of the environment scene if the block is not visible at some step.

    Args:
        qpos: (nq,), positions of the environment scene.
    """
    _, y, z = qpos[14:17]
    return bool(y < 0.29 and (y > -0.3 or 0.06 <= z <= 0.08))


class Stage:
    """An environment and its oracles. `reset` restores the environment to its initial state before each episode.

    Compiling the model again would take a quarter of an episode's time. The `reset` of OGBench's environment does not
    suffice: it keeps the old targets in attributes and in the model, and `info` contains them until new ones are set.

    Attributes:
        world: the environment, unwrapped.
        oracles: oracle for each value of `info["privileged/target_task"]`.
    """

    MODEL_ARRAYS = ("dof_damping", "geom_rgba", "mat_rgba", "site_pos")
    """Names of the model's arrays that episodes change."""

    def __init__(self, environment: str, kind: Kind) -> None:
        self.world = make_world(environment, mode="data_collection")
        self.oracles = _oracles(self.world, environment.split("-")[0], kind)
        self.world.reset(seed=0)  # compiles the model
        self._attributes = _numbers(self.world)
        self._model = {name: getattr(self.world.model, name).copy() for name in self.MODEL_ARRAYS}

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode that is independent of earlier ones, and return its observation and info."""
        vars(self.world).update({name: copy.copy(value) for name, value in self._attributes.items()})
        for name, array in self._model.items():
            getattr(self.world.model, name)[:] = array
        observation, info = self.world.reset(seed=seed)
        return observation, info


def _numbers(world: Any) -> dict[str, Any]:
    """Copy the attributes that are numbers, strings or arrays."""
    plain = (bool, int, float, str, np.generic, np.ndarray)
    return {name: copy.copy(value) for name, value in vars(world).items() if isinstance(value, plain)}


def _oracles(world: Any, family: str, kind: Kind) -> dict[str, Any]:
    style, options = ("plan", _PLAN_OPTIONS) if kind == "play" else ("markov", _MARKOV_OPTIONS)
    oracles = {}
    for target in _TARGETS[family]:
        module = importlib.import_module(f"ogbench.manipspace.oracles.{style}.{target}_{style}")
        own: dict[str, Any] = {"gripper_always_closed": True} if family == "puzzle" else {}
        if (family, target, kind) == ("scene", "cube", "noisy"):
            own["max_step"] = 100
        oracles[target] = getattr(module, f"{target.title()}{style.title()}Oracle")(env=world, **options, **own)
    return oracles


@functools.lru_cache(maxsize=1)
def stage(environment: str, kind: Kind) -> Stage:
    """Return the stage of this process. Only the latest one is cached, because a process makes one dataset."""
    return Stage(environment, kind)
