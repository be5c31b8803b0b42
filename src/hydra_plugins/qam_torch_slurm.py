"""Launchers for Slurm that keep the results of other jobs when one is lost.

Hydra finds them because this directory is named hydra_plugins. They extend hydra-submitit-launcher, and do not exist
without that package.
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
        """Runs as Slurm jobs; `hydra/launcher=qam_slurm`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Submit the unfinished runs and wait for all."""
            return _launch(self, job_overrides, initial_job_idx)

    class LocalRuns(LocalLauncher):
        """Runs in submitit's local executor; `hydra/launcher=qam_slurm_local`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Start the unfinished runs and wait for all."""
            return _launch(self, job_overrides, initial_job_idx)


def _launch(launcher: Any, job_overrides: Sequence[Sequence[str]], first: int) -> Sequence[JobReturn]:
    from qam_torch.sweep.slurm import launch  # not at the top: Hydra imports all plugins at every start

    return launch(launcher, job_overrides, first)
