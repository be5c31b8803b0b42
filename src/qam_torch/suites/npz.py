"""Suite for a user's npz file, with any registered Gymnasium environment."""

from __future__ import annotations

import torch

from qam_torch.data.custom_npz import custom_steps
from qam_torch.data.ogbench_format import file_hash
from qam_torch.suites.base import Request, TaskData
from qam_torch.suites.registered import RegisteredSuite
from qam_torch.system.files import absolute

__all__ = ["Npz"]


class Npz(RegisteredSuite):
    """One file of transitions. Its format is described in docs/bring-your-own-data.md."""

    source = "npz"
    required = {"path": "my.npz", "env_id": "Pendulum-v1"}
    data_path_advice = "give the file as path=..."

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """See `Suite.load`."""
        path, name = absolute(request.env["path"]), request.env["env_id"]
        steps = custom_steps(path)
        source = {"name": path.stem, "path": str(path), "origin": "given", "sha256": file_hash(path)}
        return self.load_recorded(name, steps, source, device, dtype)
