"""`init_from=CKPT`: another run's checkpoint as the first one of this run, its offline phase being over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from qam_torch.algorithms import Algorithm
from qam_torch.config.population import members_of
from qam_torch.data.datamodule import TrainingData
from qam_torch.rundir.checkpoints import SECTION, AtomicCheckpointIO, members_in, read_checkpoint
from qam_torch.system.files import absolute
from qam_torch.training.resume import Saved
from qam_torch.types import QamError

__all__ = ["adopt", "initial_checkpoint", "require_fitting"]


def initial_checkpoint(config: DictConfig) -> dict[str, Any] | None:
    """The checkpoint to start from, None if there is none; raises QamError when it cannot be read."""
    return None if config.init_from is None else read_checkpoint(absolute(config.init_from))


def adopt(
    content: dict[str, Any],
    algorithm: Algorithm,
    data: TrainingData,
    description: Mapping[str, Any],
    target: Path,
) -> Saved:
    """Write a checkpoint of this run with the other's networks, optimiser and generators, and nothing else of it.

    content      the other run's checkpoint
    algorithm    this run's, not trained yet; it may differ in all numbers but the networks' sizes
    data         this run's
    description  this run's, see `checkpoints.describe`
    target       where to write

    What the checkpoint's run had collected online is left behind: its updates of either phase count as the offline
    phase. With the same seeds, batches and data, the online phase goes as if both had been one run.

    It has passed `require_fitting`. From another kind of device, whose random states mean nothing here, the streams
    begin anew.
    """
    section = content[SECTION]
    updates = content["global_step"]
    sampler, saved = data.sampler.state_dict(), content["TrainingData"]["sampler"]["generators"]
    continued = saved[0].numel() == sampler["generators"][0].numel()
    if continued:
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
    }
    noise = content.pop("noise", None)
    if noise is not None and continued:
        content["noise"] = {**noise, "rows": data.sampler.batch_size}
    content["loops"]["fit_loop"]["state_dict"]["combined_loader"] = [{"step": updates}]
    for group in content["optimizer_states"][0]["param_groups"]:
        group["lr"] = algorithm.common_values["lr"]
    AtomicCheckpointIO().save_checkpoint(content, target)
    if not continued:
        print("the checkpoint comes from another kind of device: its random streams begin anew")
    print(f"starting from update {updates:,} of {section['algorithm']} on {section['run']['env_name']}")
    return Saved(target, content)


def require_fitting(content: Mapping[str, Any], algorithm: Algorithm, description: Mapping[str, Any]) -> None:
    """Raise QamError when a checkpoint's method, members, dtype or network sizes are not this run's.

    A run of one member may take any seed and numbers up; of several, each goes on as the very one that it was.
    """
    saved = content[SECTION]
    for name, old, new in (
        ("method", saved["algorithm"], description["algorithm"]),
        ("number of members", len(saved["arguments"]["seeds"]), algorithm.members),
        ("dtype", saved["run"]["dtype"], description["run"]["dtype"]),
    ):
        if old != new:
            raise QamError(f"init_from: the checkpoint's {name} is {old} but this run's {new}: give the same")
    for old, new in zip(members_in(content), members_of(type(algorithm), description["arguments"]), strict=True):
        if algorithm.members > 1 and not old.as_dict().items() <= new.as_dict().items():
            raise QamError(
                f"init_from: {old.name} of the checkpoint would go on as {new.name}: give the same seeds and "
                "population, in the same order"
            )
    algorithm.require_adoptable(content)
    sizes = {name: tuple(value.shape) for name, value in content["state_dict"].items()}
    for name, value in algorithm.state_dict().items():
        if sizes.get(name) != tuple(value.shape):
            raise QamError(
                f"init_from: the checkpoint's {name} has shape {sizes.get(name)} but this run's {tuple(value.shape)}: "
                "give the same environment sizes, algo.horizon_length, layer widths, num_qs and variant"
            )
