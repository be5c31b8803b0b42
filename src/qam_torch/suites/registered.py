"""Base class of suites for registered Gymnasium environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.data.transitions import Transitions
from qam_torch.envs.gymnasium_registry import make_registered
from qam_torch.suites.base import Request, TaskData
from qam_torch.types import QamError

__all__ = ["RegisteredSuite"]


class RegisteredSuite:
    """Base of suites whose environments are in Gymnasium's registry. A subclass must define `required` and `load`.

    A checkpoint describes the environment by `env_name`, `env_spec` (a registered name, or an EnvSpec as JSON) and
    `max_episode_steps` (None = the limit of the environment itself).
    """

    source: str
    """Value of `env.source`: a short name for the library's suites; by default, the import path of the class."""
    required: Mapping[str, str]
    """Keys of `env` that the suite requires -> example of a value."""
    data_path_advice = "leave it out, or use env=npz path=..."
    """Advice in the error message if `data.path` is given."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "source" not in vars(cls):
            cls.source = f"{cls.__module__}.{cls.__qualname__}"

    def check(self, request: Request) -> None:
        """See `Suite.check`."""
        for name, example in self.required.items():
            value = request.env.get(name)
            if not isinstance(value, str) or not value:
                got = "without it" if value is None else f"{name}={value}"
                raise QamError(f"env={self.source} requires {name}=..., e.g. {name}={example}; got {got}")
        if request.task is not None:
            raise QamError(f"task={request.task} selects a task of OGBench: leave it out with env={self.source}")
        if request.data["path"] is not None:
            raise QamError(
                f"data.path={request.data['path']} is for files in OGBench's format: {self.data_path_advice}"
            )

    def load_registered(
        self,
        name: str,
        spec: str,
        load: Callable[[np.ndarray, np.ndarray], Transitions],
        source: Mapping[str, Any],
    ) -> TaskData:
        """Load the data of an environment, and check that the data fit the environment.

        Args:
            name: name of the environment, for messages and the title.
            spec: registered name, or EnvSpec as JSON.
            load: function from the lower and upper bounds (A,) of the environment's actions to the transitions.
            source: name, path, origin and sha256 of the data.

        Raises:
            QamError: the size of an observation differs between the data and the environment.
        """
        environment = make_registered(spec)
        try:
            transitions = load(environment.low, environment.high)
            assert environment.observation_space.shape
            size = environment.observation_space.shape[0]
            limit = "_max_episode_steps"  # attribute of TimeLimit; in other wrappers it may be None
            limited = environment.has_wrapper_attr(limit) and environment.get_wrapper_attr(limit) is not None
        finally:
            environment.close()
        if transitions.observation_dim != size:
            raise QamError(
                f"the data have observations of size {transitions.observation_dim} but environment '{name}' gives "
                f"{size}: use the data that belong to this environment"
            )
        # Evaluation must end: an environment without a time limit gets the length of the longest episode.
        steps = None if limited else transitions.longest_episode
        remarks = (
            ()
            if steps is None
            else (
                f"the environment has no time limit: evaluation episodes end after {steps:,} steps, the length of the "
                "longest episode in the data",
            )
        )
        known = {"source": self.source, "env_name": name, "env_spec": spec, "max_episode_steps": steps}
        sizes = (transitions.observation_dim, transitions.action_dim)
        return TaskData(transitions, *sizes, dict(source), known, remarks=remarks)

    def load_recorded(
        self, name: str, steps: RecordedSteps, source: Mapping[str, Any], device: torch.device, dtype: torch.dtype
    ) -> TaskData:
        """Load recorded steps in the same way as `load_registered`, and add remarks on the recording.

        Args:
            name: registered name of the environment.
            steps: the recorded steps.
            source: name, path, origin and sha256 of the data.
            device: device of the transitions.
            dtype: dtype of the transitions.
        """
        file = f"data file {source['path']}"
        data = self.load_registered(
            name, name, lambda low, high: steps.transitions(low, high, file, device, dtype), source
        )
        return data._replace(remarks=(*steps.remarks(), *data.remarks))

    def make(self, environment: Mapping[str, Any], video: bool = False) -> partial:
        """See `Suite.make`."""
        options = {"render_mode": "rgb_array"} if video else {}
        return partial(make_registered, environment["env_spec"], environment["max_episode_steps"], **options)

    def title(self, environment: Mapping[str, Any]) -> str:
        """See `Suite.title`."""
        return str(environment["env_name"])
