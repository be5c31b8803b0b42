"""Print a run's configuration and data before it starts. `training.result_table` prints its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.data.summary import data_summary
from qam_torch.data.windows import ChunkWindows
from qam_torch.rundir.paths import RunPaths
from qam_torch.suites import TaskData
from qam_torch.training.method import Method
from qam_torch.training.schedule import Schedule
from qam_torch.training.settings import RunSettings
from qam_torch.training.start import Start

__all__ = ["announce_data", "announce_finished", "announce_plan"]


def announce_plan(settings: RunSettings) -> None:
    """Print the first line of a run: method, environment, seeds, length and sizes, all from the configuration."""
    values, schedule, options = settings.values, settings.schedule, settings.method.options
    task = "" if values["task"] is None else f" task {values['task']}"
    offline = [] if settings.init_from is not None else [f"{schedule.offline_steps:,} updates"]
    online = [f"{schedule.online_steps:,} environment steps"] if schedule.online_steps else []
    sizes = [f"batches of {settings.update.batch_size}", f"chunks of {options['horizon_length']}"]
    if "num_qs" in options:
        sizes.append(f"{options['num_qs']} critics")
    layers = {name: _widths(value) for name, value in options.items() if name.endswith("hidden_dims")}
    if layers:
        sizes.append(f"hidden layers {' and '.join(dict.fromkeys(layers.values()))}")
    print(
        f"experiment={values['experiment_name']}: {settings.method.name} on {values['env_name']}{task}, "
        f"seed {_seeds(settings.method)}; {', then '.join(offline + online)}, {', '.join(sizes)}"
    )


def announce_data(
    data: TaskData, module: TrainingData, algorithm: Algorithm, device: torch.device, schedule: Schedule, start: Start
) -> None:
    """Print a description of the data with remarks, the size of the networks, and the step of a resumed run.

    Args:
        data: the run's data.
        module: data module with the windows of the data, or of the first file of sharded data.
        algorithm: the run's algorithm.
        device: device of the training.
        schedule: the run's schedule.
        start: how the run starts.
    """
    source, windows = data.source, module.sampler.windows
    assert isinstance(windows, ChunkWindows)
    if "files" in source:
        amount, which = f"{source['files']:,} files that are rotated", "of the first file: "
    else:
        amount, which = f"{source['transitions']:,} transitions in {source['episodes']:,} episodes", ""
    origin = "custom file" if source["origin"] == "given" else source["origin"]
    print(f"data: {amount}, {origin}, {source['path']}")
    for line in (*data_summary(windows), *data.remarks):
        print(f"  {which}{line}")
    parameters = sum(p.numel() for p in algorithm.networks.parameters()) / algorithm.members
    print(f"networks: {parameters:,.0f} parameters, {device}")
    if start.resumed and start.step:
        print(f"continuing from {schedule.place(start.step)}")


def announce_finished(summary: Mapping[str, Any], paths: RunPaths) -> None:
    """Print that the run is already finished."""
    online = f", {summary['online_steps']:,} environment steps" if summary["online_steps"] else ""
    print(f"this run is finished ({summary['updates']:,} updates{online}, see {paths.summary}): nothing to do")


def _seeds(method: Method) -> str:
    """Return the seeds as text, e.g. "1, 2", or for a grid "1, 2 in each of 6 cells of inv_temp x edit_scale"."""
    seeds, cells = ", ".join(map(str, method.seeds)), len(method.cells)
    return f"{seeds} in each of {cells} cells of {' x '.join(method.population)}" if cells > 1 else seeds


def _widths(layers: Sequence[int]) -> str:
    """Return the widths of layers as text, e.g. "512x4", or "256-128" if they differ."""
    return f"{layers[0]}x{len(layers)}" if len(set(layers)) == 1 else "-".join(map(str, layers))
