"""What a run prints before it starts; its results are in `training.result_table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.addresses import describe_seeds
from qam_torch.rundir.paths import RunPaths
from qam_torch.suites import TaskData, suite_of
from qam_torch.training.schedule import Schedule
from qam_torch.training.settings import RunSettings
from qam_torch.training.start import Start

__all__ = ["announce", "announce_finished"]


def announce(
    settings: RunSettings, data: TaskData, algorithm: Algorithm, device: torch.device, schedule: Schedule, start: Start
) -> None:
    """Print what the run is, before it starts."""
    title, source = suite_of(data.environment).title(data.environment), data.source
    parameters = sum(p.numel() for p in algorithm.networks.parameters()) / algorithm.members
    offline = [] if settings.init_from is not None else [f"{schedule.offline_steps:,} updates"]
    online = [f"{schedule.online_steps:,} environment steps"] if schedule.online_steps else []
    if "files" in source:
        amount = f"{source['files']:,} files that are rotated"
    else:
        amount = f"{source['transitions']:,} transitions in {source['episodes']:,} episodes"
    print(
        f"{settings.method.name} on {title}, seed {describe_seeds(algorithm)}: {', then '.join(offline + online)}, "
        f"{parameters:,.0f} parameters, {device}\n"
        f"data: {amount}, {source['origin']}, {source['path']}"
    )
    if start.resumed and start.step:
        print(f"continuing from {schedule.place(start.step)}")


def announce_finished(summary: Mapping[str, Any], paths: RunPaths) -> None:
    """Print that there is nothing to do."""
    online = f", {summary['online_steps']:,} environment steps" if summary["online_steps"] else ""
    print(f"this run is finished ({summary['updates']:,} updates{online}, see {paths.summary}): nothing to do")
