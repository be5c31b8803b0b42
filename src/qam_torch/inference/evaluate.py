"""Evaluate a checkpoint's policy in the environment for which it was trained."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.envs.step_metrics import StepMetric
from qam_torch.inference.episodes import evaluate_members
from qam_torch.inference.load_algorithm import load_algorithm, member_index
from qam_torch.inference.matrix_precision import matrix_precision
from qam_torch.rollout.evaluation import Evaluation, require_execute_steps
from qam_torch.rollout.pools import evaluation_pool
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.system.files import prepare_directory
from qam_torch.types import QamError, is_integer, require

__all__ = ["evaluate"]


def evaluate(
    ckpt: str | os.PathLike[str],
    episodes: int = 50,
    member: int | str | None = None,
    policy: str = "policy",
    seed: int = 0,
    environments: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    video: str | os.PathLike[str] | None = None,
    video_episodes: int = 2,
    evaluation_metrics: Sequence[StepMetric] = (),
    execute_steps: int | None = None,
) -> Evaluation:
    """Evaluate a checkpoint in the environment for which it was trained.

    Args:
        ckpt: path of a .ckpt file, or of a run directory, whose last checkpoint is evaluated.
        episodes: int >= 1, number of episodes per member.
        member: index or address of one member of a population, e.g. "seed=2,inv_temp=3"; None evaluates all members.
        policy: "policy" or "behavior" (f_beta alone).
        seed: int >= 0, seed of the episodes and of the noise of action selection.
        environments: int >= 1, largest number of environments at a time. If there are more episodes than environments,
            episodes run one after another. None uses 100, or three per process if an environment takes more than 20 MB.
        workers: int >= 0, number of processes that step the environments; None uses one per CPU core.
        device: device of the policy.
        video: path of a .mp4 or .gif file for a video of the evaluated member, or of the first of all members. None
            renders no video.
        video_episodes: int >= 1, number of episodes in the video.
        evaluation_metrics: custom metrics of episodes, see `envs.step_metrics.StepMetric`.
        execute_steps: number of actions of a chunk that are executed before the policy selects the next chunk, from 1
            to the length of a chunk; None uses the value of the run.

    Returns:
        Success (None if the environment does not report it), returns, lengths and custom metrics of all episodes, each
        with shape (P, E).

    Raises:
        QamError: an argument is out of range, the checkpoint cannot be used, the environments cannot be made, or no
            renderer is available.
    """
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("video_episodes", video_episodes, 1),
    ):
        require(name, is_integer(value, least), value, f"an integer >= {least}")
    for name, number, least in (("environments", environments, 1), ("workers", workers, 0)):
        require(name, number is None or is_integer(number, least), number, f"an integer >= {least}, or null")
    known = member is None or isinstance(member, str) or is_integer(member, 0)
    require("member", known, member, "an integer >= 0, or such as seed=2,inv_temp=3, or null")
    require("policy", policy in ("policy", "behavior"), policy, "policy or behavior")
    _check_device(device)
    if video is not None:
        require("video", Path(video).suffix in (".mp4", ".gif"), video, "a name that ends in .mp4 or .gif")
        prepare_directory(Path(video).absolute().parent, "directory", "video=...")
    checkpoint = read_checkpoint(ckpt)
    section, chosen = checkpoint[SECTION], None if member is None else member_index(checkpoint, member)
    run, action_dim = section["run"], int(section["arguments"]["action_dim"])
    suite = suite_of(run)
    attribute = "behavior_policy" if policy == "behavior" else "policy"
    algorithm = _acting_algorithm(checkpoint, chosen, device)
    if getattr(algorithm, attribute) is None:
        raise QamError(f"policy=behavior: {section['algorithm']} has no separate behavior flow: use policy=policy")
    require_execute_steps(execute_steps, algorithm.chunk_dim // action_dim)
    if execute_steps is None:
        execute_steps = run.get("execute_steps")
    members, stream = algorithm.members, f"evaluate/{seed}"
    with matrix_precision(algorithm.device, algorithm.network_dtype):
        with evaluation_pool(suite.make(run), members, episodes, environments, workers, evaluation_metrics) as pool:
            outcome = evaluate_members(
                algorithm, pool, episodes, action_dim, seed, stream, attribute, execute_steps=execute_steps
            )
        if video is not None:
            from qam_torch.rollout.video import render_episodes  # imageio is optional

            lone = _acting_algorithm(checkpoint, chosen or 0, device)
            render_episodes(
                PopulationActor(lone, attribute, f"{stream}/video"),
                suite.make(run, video=True),
                video_episodes,
                Path(video),
                algorithm.horizon_length,
                seed,
                execute_steps=execute_steps,
            )
    return outcome


def _acting_algorithm(checkpoint: dict[str, Any], member: int | None, device: str) -> Algorithm:
    """Load all members or one. If a member has diverged, its non-finite actions are replaced by zero actions."""
    algorithm = load_algorithm(checkpoint, member).to(device)
    at = checkpoint[SECTION]["diverged"]
    if any(one is not None for one in (at if member is None else at[member : member + 1])):
        algorithm.freeze_diverged()
    return algorithm


def _check_device(device: str) -> None:
    """Raise QamError if torch cannot use the device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise QamError(f"device={device} cannot be used here ({reason}): use device=cpu") from None
