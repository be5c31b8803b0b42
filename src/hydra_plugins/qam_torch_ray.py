"""Hydra's launcher for Ray, but an interrupt ends the runs at once; Hydra finds it here by its place.

It is hydra-ray-launcher's in all else. Without that package there is none.
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
            """Launch the runs and wait for all; whatever goes wrong, none is left behind on the cluster."""
            import ray  # not above: Hydra imports all plugins whenever it starts

            try:
                returns: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
            except BaseException:
                ray.shutdown()
                raise
            return returns
