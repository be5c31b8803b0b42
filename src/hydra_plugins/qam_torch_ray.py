"""A launcher for Ray that stops its runs when it is interrupted.

Hydra finds it because this directory is named hydra_plugins. It extends hydra-ray-launcher, and does not exist without
that package.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

with contextlib.suppress(ImportError):
    from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher

    class RayRuns(RayLauncher):
        """Runs as tasks of a Ray cluster; `hydra/launcher=qam_ray`."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Launch the runs and wait for all; after any error no run is left on the cluster."""
            import ray  # not at the top: Hydra imports all plugins at every start

            try:
                returns: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
            except BaseException:
                ray.shutdown()
                raise
            return returns
