"""Suite for HDF5 files in D4RL's or robomimic's layout, with any registered Gymnasium environment."""

from __future__ import annotations

import importlib.util

import torch

from qam_torch.data.hdf5 import hdf5_steps
from qam_torch.data.ogbench_format import file_hash
from qam_torch.suites.base import Request, TaskData
from qam_torch.suites.registered import RegisteredSuite
from qam_torch.system.extras import install_command
from qam_torch.system.files import absolute
from qam_torch.types import QamError, require

__all__ = ["Hdf5"]


class Hdf5(RegisteredSuite):
    """One file of recorded steps or demonstrations. Requires the h5py package, which is an extra."""

    source = "hdf5"
    required = {"path": "my.hdf5", "env_id": "Pendulum-v1"}
    data_path_advice = "give the file as path=..."

    def check(self, request: Request) -> None:
        """See `Suite.check`."""
        super().check(request)
        keys = request.env.get("obs_keys")
        listed = keys is None or (isinstance(keys, list) and bool(keys) and all(isinstance(key, str) for key in keys))
        require("env.obs_keys", listed, keys, "a list of names such as [object,robot0_eef_pos], or null")
        if importlib.util.find_spec("h5py") is None:
            raise QamError(f"env=hdf5 requires the h5py package: {install_command('hdf5')}")

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """See `Suite.load`."""
        path, name = absolute(request.env["path"]), request.env["env_id"]
        steps = hdf5_steps(path, request.env.get("obs_keys"))
        source = {"name": path.stem, "path": str(path), "origin": "given", "sha256": file_hash(path)}
        return self.load_recorded(name, steps, source, device, dtype)
