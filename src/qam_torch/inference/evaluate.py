"""`qam-eval ckpt=PATH [episodes=50] [video=FILE.mp4] ...`: measure a checkpoint's policy in its environment."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.inference.algorithm import load_algorithm, member_index, members_in
from qam_torch.inference.episodes import evaluate_members
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rollout.pools import environments_for, make_pool
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.system.files import prepare_directory, write_json
from qam_torch.system.import_path import include_working_directory
from qam_torch.types import QamError, is_integer, require

__all__ = ["evaluate", "main"]

OPTIONS: dict[str, tuple[Any, str]] = {
    "ckpt": (None, "path of a .ckpt file of a run (required)"),
    "episodes": (50, "episodes of each member; >= 1"),
    "member": (None, "one member of a population only: its index, or such as seed=2,inv_temp=3; null = all"),
    "policy": ("policy", "policy = what the method acts with | behavior = its behaviour flow f_beta alone"),
    "seed": (0, "of episodes and acting noise; an integer >= 0"),
    "environments": (100, "most environments at a time, of all members together; changes time and memory only; >= 1"),
    "workers": (None, "processes that step the environments; null = one a core, 0 = this process"),
    "device": ("cpu", "where the policy runs: cpu | cuda"),
    "json": (None, "write the outcome to this file"),
    "video": (None, "also render episodes to this file, .mp4 or .gif"),
    "video_episodes": (2, "how many episodes to render; >= 1"),
    "renderer": (None, "MuJoCo's renderer: egl | osmesa | glfw; null = the first that works here"),
}


def evaluate(
    ckpt: str | os.PathLike[str],
    episodes: int = 50,
    member: int | str | None = None,
    policy: str = "policy",
    seed: int = 0,
    environments: int = 100,
    workers: int | None = None,
    device: str = "cpu",
    video: str | os.PathLike[str] | None = None,
    video_episodes: int = 2,
) -> Evaluation:
    """Evaluate a checkpoint in the environment it was trained for.

    ckpt            a run's .ckpt file
    episodes        int >= 1  of each member
    member          int, str or None  one member of a population, by its index or such as "seed=2,inv_temp=3"; or all
    policy          "policy" or "behavior" (f_beta alone)
    seed            int >= 0  of the episodes and of the acting noise
    environments    int >= 1  most that are held at a time; the episodes take turns in them
    workers         int or None  processes that step the environments; None = one a core
    device          where the policy runs
    video           render `video_episodes` episodes of the (first) member to this .mp4 or .gif
    ->              Evaluation: success (None where the environment never says), returns, lengths (P, E), intervals

    Raises QamError when the checkpoint cannot be used, or rendering is asked for and impossible.
    """
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("video_episodes", video_episodes, 1),
        ("environments", environments, 1),
    ):
        require(name, is_integer(value, least), value, f"an integer >= {least}")
    require("workers", workers is None or is_integer(workers, 0), workers, "an integer >= 0, or null")
    known = member is None or isinstance(member, str) or is_integer(member, 0)
    require("member", known, member, "an integer >= 0, or such as seed=2,inv_temp=3, or null")
    require("policy", policy in ("policy", "behavior"), policy, "policy or behavior")
    _check_device(device)
    if video is not None:
        require("video", Path(video).suffix in (".mp4", ".gif"), video, "a name that ends in .mp4 or .gif")
        prepare_directory(Path(video).absolute().parent, "directory", "video=...")
    checkpoint = read_checkpoint(ckpt)
    section, chosen = checkpoint[SECTION], None if member is None else member_index(checkpoint, member)
    run, suite = section["run"], suite_of(section["run"])
    action_dim = int(section["arguments"]["action_dim"])
    attribute = "behavior_policy" if policy == "behavior" else "policy"
    algorithm = _acting_algorithm(checkpoint, chosen, device)
    if getattr(algorithm, attribute) is None:
        raise QamError(f"policy=behavior: {section['algorithm']} has no behaviour flow of its own, use policy=policy")
    count = environments_for(algorithm.members, episodes, environments)
    with make_pool(suite.make(run), count, workers) as pool:
        outcome = evaluate_members(algorithm, pool, episodes, action_dim, seed, f"evaluate/{seed}", attribute)
    if video is not None:
        from qam_torch.rollout.video import render_episodes  # imageio is an extra

        lone = _acting_algorithm(checkpoint, chosen or 0, device)
        render_episodes(
            PopulationActor(lone, attribute, f"evaluate/{seed}/video"),
            suite.make_for_video(run),
            video_episodes,
            Path(video),
            algorithm.horizon_length,
            seed,
        )
    return outcome


def _acting_algorithm(checkpoint: dict[str, Any], member: int | None, device: str) -> Algorithm:
    """All members or one, of which those that had diverged do nothing where their actions are not finite."""
    algorithm = load_algorithm(checkpoint, member).to(device)
    at = checkpoint[SECTION]["diverged"]
    if any(one is not None for one in (at if member is None else at[member : member + 1])):
        algorithm.freeze_diverged()
    return algorithm


def _check_device(device: str) -> None:
    """Raise QamError unless torch can use it here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise QamError(f"device={device} cannot be used here ({reason}): use device=cpu") from None


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """key=value words, with the nearest key for a misspelt one."""
    try:
        given = OmegaConf.to_container(OmegaConf.from_dotlist(list(arguments)))
    except (OmegaConfBaseException, ValueError) as error:
        raise QamError(f"cannot read the arguments ({error}): give key=value words, e.g. ckpt=PATH") from None
    assert isinstance(given, dict)
    for name in given:
        if name not in OPTIONS:
            near = difflib.get_close_matches(str(name), OPTIONS, n=2)
            raise QamError(f"unknown option '{name!s}': expected {' or '.join(near) if near else ', '.join(OPTIONS)}")
    options = {name: given.get(name, default) for name, (default, _) in OPTIONS.items()}
    if options["ckpt"] is None:
        raise QamError("no checkpoint given: expected ckpt=PATH, a .ckpt file of a run")
    return options


def _told_members(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Seed and numbers of each member, and the update at which it diverged if it did."""
    members = members_in(checkpoint)
    at = checkpoint[SECTION]["diverged"]
    return [one.as_dict() | ({"diverged": n} if n is not None else {}) for one, n in zip(members, at, strict=True)]


def _show(outcome: Evaluation, members: Sequence[dict[str, Any]]) -> None:
    rates = [""] * len(members)
    heading = ""
    if outcome.success is not None:
        heading = f"  {'success':>7}  95 % interval "
        both = zip(outcome.success_rate(), outcome.interval(), strict=True)
        rates = [f"  {rate:7.2f}  [{low:.2f}, {high:.2f}]  " for rate, (low, high) in both]
    columns = [name for name in members[0] if name != "diverged"]
    print("  " + "  ".join(f"{name:>6}" for name in columns) + f"{heading}  {'return':>8}  {'length':>7}")
    for p, member in enumerate(members):
        told = "  ".join(f"{member[name]:>{max(6, len(name))}g}" for name in columns)
        lost = f"  diverged at update {member['diverged']:,}" if "diverged" in member else ""
        print(f"  {told}{rates[p]}  {outcome.returns[p].mean():8.1f}  {outcome.lengths[p].mean():7.1f}{lost}")


def _as_json(outcome: Evaluation) -> dict[str, Any]:
    """Lists with an entry for each member; without success where the environment never says."""
    lists = {"return": outcome.returns.mean(axis=1).tolist(), "length": outcome.lengths.mean(axis=1).tolist()}
    if outcome.success is None:
        return lists
    return {"success": outcome.success_rate().tolist(), "success_95": outcome.interval().tolist(), **lists}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-eval`."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"-h", "--help"} & set(words):
        print(__doc__.strip(), end="\n\n")
        for name, (default, meaning) in OPTIONS.items():
            print(f"  {name + '=':16} {meaning} (default {'null' if default is None else default})")
        return 0 if words else 2
    try:
        include_working_directory()
        options = _parse(words)
        target, renderer = options.pop("json"), options.pop("renderer")
        if target is not None:
            prepare_directory(Path(target).absolute().parent, "directory", "json=...")
        if renderer is not None:
            os.environ["MUJOCO_GL"] = str(renderer)
        outcome = evaluate(**options)
        checkpoint = read_checkpoint(options["ckpt"])
        section, members = checkpoint[SECTION], _told_members(checkpoint)
        if options["member"] is not None:
            members = [members[member_index(checkpoint, options["member"])]]
        run = section["run"]
        print(f"{section['algorithm']} on {suite_of(run).title(run)}, update {section['update']:,}")
        _show(outcome, members)
        if options["video"] is not None:
            print(f"  video: {options['video']}")
        if target is not None:
            held = {"seeds": [one["seed"] for one in members], "members": members}
            found = {**held, "episodes": options["episodes"], **_as_json(outcome)}
            write_json(Path(target), found)
    except (QamError, OSError) as error:
        print(f"qam-eval: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qam-eval: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
