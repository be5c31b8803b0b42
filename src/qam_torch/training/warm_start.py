"""Start a run from another run's checkpoint, which replaces the offline phase (`init_from=CKPT`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.addresses import members_of
from qam_torch.algorithms.core.lightning_internals import set_loader_step, trainer_steps_in
from qam_torch.data.datamodule import TrainingData
from qam_torch.inference.load_algorithm import members_in
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.rundir.paths import RunPaths
from qam_torch.training.checkpoint_io import AtomicCheckpointIO
from qam_torch.training.fresh_directory import move_earlier_run_aside
from qam_torch.types import QamError

__all__ = ["WarmStart"]


class WarmStart:
    """A start with the networks, optimizer and random generators of another run; see `training.start.Start`.

    Their states are written as the first checkpoint of this run. The Trainer then continues from it as in a resumed
    run. Observations are still normalized by the statistics of the other run's data, because the networks were trained
    with these statistics. Transitions that the other run collected online are not used. All updates of the other run,
    offline and online, count as the offline phase.

    If seeds, batches and data are the same, the online phase equals that of a single run. If the checkpoint comes from
    another type of device, its random states cannot be used, and the random streams start again.

    Args:
        path: path of the checkpoint.

    Raises:
        QamError: the checkpoint cannot be read.
    """

    resumed = False

    def __init__(self, path: Path) -> None:
        self._content = read_checkpoint(path)
        self.step: int = self._content["global_step"]
        self.offline_steps = self.step
        self.trainer_steps = trainer_steps_in(self._content)

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """Check that the checkpoint fits, and write it as this run's first checkpoint; see `Start.begin`.

        The algorithm may differ in all hyperparameters except the sizes of the networks.
        """
        require_compatible(self._content, algorithm, description)
        move_earlier_run_aside(paths)
        self._write(paths.last_checkpoint, algorithm, data, description)
        self._content = {}  # free its memory: it is as large as all networks and the optimizer's state
        return paths.last_checkpoint

    def _write(self, target: Path, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]) -> None:
        content = self._content
        section, updates = content[SECTION], self.step
        sampler, saved = data.sampler.state_dict(), content["TrainingData"]["sampler"]["generators"]
        same_device = saved[0].numel() == sampler["generators"][0].numel()
        if same_device:
            sampler["generators"] = saved
        content = {
            **content,
            SECTION: {
                **description,
                "step": updates,
                "offline_steps": updates,
                "update": updates,
                "seconds": 0.0,
                "diverged": section["diverged"],
                "best": {},
                "after_offline": {},
            },
            "TrainingData": {"sampler": sampler, "step": updates, "data": data.fingerprint},
            "callbacks": {},  # the state of custom callbacks belongs to the other run
        }
        noise = content.pop("noise", None)
        if noise is not None and same_device:
            content["noise"] = {**noise, "rows": data.sampler.batch_size}
        set_loader_step(content, updates)
        AtomicCheckpointIO().save_checkpoint(content, target)
        if not same_device:
            print("the checkpoint comes from another kind of device: its random streams start again")
        print(f"starting from update {updates:,} of {section['algorithm']} on {section['run']['env_name']}")


def require_compatible(content: Mapping[str, Any], algorithm: Algorithm, description: Mapping[str, Any]) -> None:
    """Raise QamError if method, members, precision, normalization or sizes of a checkpoint differ from this run's.

    A run with one member may continue with any seed and hyperparameters. In a population, each member must continue as
    the same member.
    """
    saved = content[SECTION]
    for name, old, new in (
        ("method", saved["algorithm"], description["algorithm"]),
        ("number of members", len(saved["arguments"]["seeds"]), algorithm.members),
        ("precision", saved["run"]["dtype"], description["run"]["dtype"]),
        ("data.normalize", saved["run"]["normalize"], description["run"]["normalize"]),
    ):
        if old != new:
            raise QamError(f"init_from: the checkpoint's {name} is {old} but this run's {new}: give the same")
    for old, new in zip(members_in(content), members_of(type(algorithm), description["arguments"]), strict=True):
        if algorithm.members > 1 and not old.as_dict().items() <= new.as_dict().items():
            raise QamError(
                f"init_from: {old.name} of the checkpoint would continue as {new.name}: give the same seeds and "
                "population, in the same order"
            )
    algorithm.require_loadable(content)
    sizes = {name: tuple(value.shape) for name, value in content["state_dict"].items()}
    for name, value in algorithm.state_dict().items():
        if sizes.get(name) != tuple(value.shape):
            raise QamError(
                f"init_from: the checkpoint's {name} has shape {sizes.get(name)} but this run's {tuple(value.shape)}: "
                "give the same environment sizes, algo.horizon_length, layer widths, num_qs and variant"
            )
