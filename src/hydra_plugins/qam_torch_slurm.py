"""Hydra's launchers for Slurm, but one lost job leaves the others their results; Hydra finds them here by their place.

They are submitit's of hydra-submitit-launcher in all else. Without that package there are none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher, SlurmLauncher

    class SlurmRuns(SlurmLauncher):
        """Runs as jobs of Slurm; `hydra/launcher=qam_slurm`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit the runs that are not finished, and wait for all."""
            return _launched(self, job_overrides, initial_job_idx)

    class LocalRuns(LocalLauncher):
        """The same with submitit's local executor; `hydra/launcher=qam_slurm_local`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Start the runs that are not finished, and wait for all."""
            return _launched(self, job_overrides, initial_job_idx)


def _launched(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    from qam_torch.sweep.slurm import launch  # not above: Hydra imports all plugins whenever it starts

    return launch(launcher, job_overrides, first)
