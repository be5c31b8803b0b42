"""OGBench's recipes for the arm (cube, scene, puzzle): one episode of oracles that reach target after target.

Imported in worker processes: no torch.
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

# All numbers are OGBench's.
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
    """Makes one episode, in which an oracle reaches a random target, then one for the next target, and so on.

    environment  registered goal-conditioned environment, e.g. "cube-triple-v0", "scene-v0", "puzzle-4x4-v0"
    kind         "play": oracles that follow a plan with smooth noise;
                 "noisy": oracles that react to the state, with noise of a strength drawn for each episode, and some
                 actions drawn uniformly

    Calling it with (seed, index, rows), rows >= 2, returns observations, actions, terminals, qpos, qvel, and
    button_states where the environment has buttons, with `rows` rows each, `terminals` True on the last. The result
    depends on these numbers alone, not on episodes made before; numpy's global generator, which the oracles draw from,
    is left as it was.

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
        """An episode, or None if OGBench would throw it away."""
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
                    # The next oracle plans for the new target, but in its first step it sees `info` of the old one.
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
    """Whether scene's block is where images can show it: neither too far right, nor too far left outside the drawer.

    qpos (nq,) of the scene; OGBench throws episodes away in which this is ever False.
    """
    _, y, z = qpos[14:17]
    return bool(y < 0.29 and (y > -0.3 or 0.06 <= z <= 0.08))


class Stage:
    """An environment and its oracles, put back before each episode to what they were when new.

    Compiling the model again would cost a quarter of an episode. `reset` alone leaves the old targets, in attributes
    and in the model, and `info` tells of those until new ones are set.

    world    the environment, unwrapped
    oracles  what `info["privileged/target_task"]` says -> oracle
    """

    MODEL_ARRAYS = ("dof_damping", "geom_rgba", "mat_rgba", "site_pos")
    """What episodes change in the model."""

    def __init__(self, environment: str, kind: Kind) -> None:
        self.world = make_world(environment, mode="data_collection")
        self.oracles = _oracles(self.world, environment.split("-")[0], kind)
        self.world.reset(seed=0)  # compiles the model
        self._attributes = _numbers(self.world)
        self._model = {name: getattr(self.world.model, name).copy() for name in self.MODEL_ARRAYS}

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode that knows nothing of those before -> observation, info."""
        vars(self.world).update({name: copy.copy(value) for name, value in self._attributes.items()})
        for name, array in self._model.items():
            getattr(self.world.model, name)[:] = array
        observation, info = self.world.reset(seed=seed)
        return observation, info


def _numbers(world: Any) -> dict[str, Any]:
    """Copies of the attributes that are numbers, words or arrays of them."""
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
    """The process's stage: one at a time, since one process makes one dataset."""
    return Stage(environment, kind)
