"""Make OGBench's single-task environments from the name of a dataset.

Worker processes import this module, so it does not import torch.
"""

from __future__ import annotations

import difflib
import importlib
import re
import warnings
from typing import Any, SupportsFloat

import gymnasium

from qam_torch.system.opengl import renderer_optional
from qam_torch.system.temporary_files import temporary_files_removed
from qam_torch.types import QamError

__all__ = ["SparseReward", "dataset_names", "environment_id", "make_environment"]

# Kinds of datasets of each family. The kind is the part of a dataset's name that the environment's name lacks.
_TYPES = {
    "pointmaze": ("navigate", "stitch"),
    "antmaze": ("navigate", "stitch", "explore"),
    "humanoidmaze": ("navigate", "stitch"),
    "antsoccer": ("navigate", "stitch"),
    "cube": ("play", "noisy"),
    "scene": ("play", "noisy"),
    "puzzle": ("play", "noisy"),
}
_TASKS = range(1, 6)
_REWARDS = ("dense", "sparse")
_SIZE = re.compile(r"-\d+[kmb](?=-v\d+$)", re.IGNORECASE)
_SINGLE_TASK = re.compile(r"^(?P<base>[a-z]+(?:-[a-z0-9]+)*)-singletask-(?P<version>v\d+)$")


class SparseReward(gymnasium.RewardWrapper):
    """Replaces every non-zero reward by -1. So a partly solved task gives no more reward than an unsolved one."""

    def reward(self, reward: SupportsFloat) -> float:
        """0 for reward 0 (success), -1 otherwise."""
        return 0.0 if float(reward) == 0.0 else -1.0


def make_environment(
    env_name: str,
    task: int | None = None,
    seed: int | None = None,
    reward: str = "dense",
    draft: bool = False,
    **options: Any,
) -> gymnasium.Env:
    """Make the single-task environment of an OGBench dataset, with its time limit.

    The environments also use numpy's global generator. `envs.host` keeps a separate state of it for each environment.

    Args:
        env_name: the dataset's name, e.g. "cube-triple-play-v0"; it may include a size such as "-100m".
        task: 1 to 5, or None for the environment's default task.
        seed: seed of the environment and of its action space; None for seeds from the operating system.
        reward: "dense", as OGBench defines it; or "sparse", see `SparseReward`.
        draft: render without shadows and antialiasing, about ten times faster if OpenGL runs on the CPU.
        options: further keyword arguments of the environment, e.g. width=320, height=320 for rendering.

    Returns:
        A gymnasium environment, not yet reset. Its action space is one permanent object, seeded if `seed` is given.

    Raises:
        QamError: the name, the task or the reward is unknown.
    """
    identifier = environment_id(env_name, task)
    if reward not in _REWARDS:
        raise QamError(f"unknown reward {reward!r}: choose one of {', '.join(_REWARDS)}")
    with warnings.catch_warnings(), temporary_files_removed():
        warnings.simplefilter("ignore")  # GLFW warns without a display, gymnasium about a box cast to float32
        environment = renderer_optional(lambda: gymnasium.make(identifier, disable_env_checker=True, **options))
        _keep_action_space(environment)
        if draft:
            _ = environment.observation_space  # manipulation environments build their model at this access
            quality = environment.get_wrapper_attr("model").vis.quality  # read when the first image is made
            quality.shadowsize = quality.offsamples = 0
    if seed is not None:
        environment.unwrapped.np_random, _ = gymnasium.utils.seeding.np_random(seed)
        environment.action_space.seed(seed)
    return SparseReward(environment) if reward == "sparse" else environment


def environment_id(env_name: str, task: int | None = None) -> str:
    """The registered environment of a dataset: ("cube-triple-play-v0", 2) -> "cube-triple-singletask-task2-v0".

    Raises:
        QamError: the name has no registered environment with vector observations, or the task is not in 1 to 5.
    """
    if task is not None and (isinstance(task, bool) or task not in _TASKS):
        raise QamError(f"task={task!r} is not one of 1 to 5: give one of these, or None for the default task")
    if env_name.startswith(("visual-", "powderworld-")):
        raise QamError(
            f"'{env_name}' contains images, which are not supported: choose a dataset with state observations"
        )
    known = dataset_names()
    name = _SIZE.sub("", env_name)
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise QamError(f"unknown environment {env_name!r}: the nearest known dataset names are {', '.join(nearest)}")
    *base, _, version = name.split("-")
    return "-".join([*base, "singletask", *([f"task{task}"] if task is not None else []), version])


def dataset_names() -> list[str]:
    """All dataset names that `make_environment` accepts, from the environments that OGBench has registered."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GLFW warns without a display
        importlib.import_module("ogbench")
    names = []
    for match in filter(None, map(_SINGLE_TASK.match, gymnasium.registry)):
        base, version = match["base"], match["version"]
        names += [f"{base}-{kind}-{version}" for kind in _TYPES.get(base.split("-")[0], ())]
    return sorted(names)


def _keep_action_space(environment: gymnasium.Env) -> None:
    """Give the environment one permanent action space.

    OGBench's manipulation environments create a new, unseeded action space at every access. They draw the warm-up
    actions of `reset` from it, so seeding would have no effect.
    """
    base = environment.unwrapped
    cls = type(base)
    if isinstance(getattr(cls, "action_space", None), property):
        base.__class__ = type(cls.__name__, (cls,), {"action_space": base.action_space, "__module__": cls.__module__})
