"""Suite for Minari's datasets, each with the environment in which it was recorded, or with the one in `env.env_id`."""

from __future__ import annotations

import importlib.util

import torch

from qam_torch.data.minari import dataset_hash, environment_spec, minari_transitions, open_minari
from qam_torch.suites.base import Request, TaskData
from qam_torch.suites.registered import RegisteredSuite
from qam_torch.system.extras import install_command
from qam_torch.types import QamError, require

__all__ = ["Minari"]


class Minari(RegisteredSuite):
    """Datasets of Minari. Requires the minari package, which is an extra."""

    source = "minari"
    required = {"dataset": "mujoco/hopper/medium-v0"}

    def check(self, request: Request) -> None:
        """See `Suite.check`."""
        super().check(request)
        env_id = request.env.get("env_id")
        named = env_id is None or (isinstance(env_id, str) and bool(env_id))
        require(
            "env_id", named, env_id, "a registered name such as Pendulum-v1, or null for the dataset's own environment"
        )
        if importlib.util.find_spec("minari") is None:
            raise QamError(f"env=minari requires the minari package: {install_command('minari')}")

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """See `Suite.load`."""
        name, env_id = request.env["dataset"], request.env.get("env_id")
        dataset = open_minari(name, request.data["download"])
        data = self.load_registered(
            name if env_id is None else env_id,
            environment_spec(dataset) if env_id is None else env_id,
            lambda low, high: minari_transitions(dataset, low, high, device, dtype),
            {},
        )
        path = str(dataset.storage.data_path)
        source = {"name": name, "path": path, "origin": "minari", "sha256": dataset_hash(dataset)}
        return data._replace(source=source)  # hashed only after checking that data and environment fit
