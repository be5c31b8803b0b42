"""The environment a run was trained for, from the few plain values it is remembered by.

OGBench's   `env_name` (the data set's), `task`, `reward`
any other   `env_name`, `env_spec` (a registered name, or an EnvSpec as JSON), `max_episode_steps` (None: its own)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from qam_torch.envs.gymnasium_registry import make_registered
from qam_torch.envs.ogbench import make_environment

__all__ = ["environment_maker", "film_maker", "title"]


def environment_maker(known: Mapping[str, Any]) -> partial:
    """A picklable function that makes the environment; it takes actions in [-1, 1], as policies give them."""
    if "env_spec" in known:
        return partial(make_registered, known["env_spec"], known["max_episode_steps"])
    return partial(make_environment, known["env_name"], task=known["task"], reward=known["reward"])


def film_maker(known: Mapping[str, Any]) -> partial:
    """The same, of an environment that is to be rendered."""
    if "env_spec" in known:
        return partial(environment_maker(known), render_mode="rgb_array")
    return partial(environment_maker(known), draft=True, width=320, height=320)


def title(known: Mapping[str, Any]) -> str:
    """ "cube-triple-play-v0, task 2", or a name alone."""
    return f"{known['env_name']}, task {known['task']}" if "task" in known else str(known["env_name"])
