"""`qam-eval ckpt=PATH [episodes=50] [video=FILE.mp4] ...`: measure a checkpoint's policy in its environment."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qam_torch.cli.command import run_command
from qam_torch.inference.algorithm import member_index, members_in
from qam_torch.inference.evaluate import evaluate
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.system.files import prepare_directory, write_json
from qam_torch.system.import_path import include_working_directory
from qam_torch.types import QamError

__all__ = ["main"]

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
"""Option -> its default and its help text."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-eval`.

    Args:
        arguments: key=value words; those of the process by default.

    Returns:
        Exit status: 0, 1 after an error, 2 without arguments, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or {"-h", "--help"} & set(words):
        print(__doc__.strip(), end="\n\n")
        for name, (default, meaning) in OPTIONS.items():
            print(f"  {name + '=':16} {meaning} (default {'null' if default is None else default})")
        return 0 if words else 2
    return run_command("qam-eval", lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    include_working_directory()
    options = _parse(words)
    target, renderer = options.pop("json"), options.pop("renderer")
    if target is not None:
        prepare_directory(Path(target).absolute().parent, "directory", "json=...")
    if renderer is not None:
        os.environ["MUJOCO_GL"] = str(renderer)
    evaluation = evaluate(**options)
    checkpoint = read_checkpoint(options["ckpt"])
    section, members = checkpoint[SECTION], _members(checkpoint)
    if options["member"] is not None:
        members = [members[member_index(checkpoint, options["member"])]]
    print(f"{section['algorithm']} on {suite_of(section['run']).title(section['run'])}, update {section['update']:,}")
    _print_table(evaluation, members)
    if options["video"] is not None:
        print(f"  video: {options['video']}")
    if target is not None:
        about = {"seeds": [one["seed"] for one in members], "members": members, "episodes": options["episodes"]}
        write_json(Path(target), {**about, **_by_member(evaluation)})
    return 0


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Read key=value words; raises QamError with the nearest key for a misspelled one."""
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


def _members(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Seed and hyperparameters of each member, and the update at which it diverged if it did."""
    diverged = checkpoint[SECTION]["diverged"]
    return [
        member.as_dict() | ({} if update is None else {"diverged": update})
        for member, update in zip(members_in(checkpoint), diverged, strict=True)
    ]


def _by_member(evaluation: Evaluation) -> dict[str, list[Any]]:
    """One list per metric, with an entry per member; no success where the environment does not report it."""
    lists = {name: values.tolist() for name, values in evaluation.by_member().items()}
    if evaluation.success is None:
        return lists
    return {"success": lists.pop("success"), "success_95": evaluation.interval().tolist(), **lists}


def _print_table(evaluation: Evaluation, members: Sequence[dict[str, Any]]) -> None:
    """One row per member under one heading."""
    values = _by_member(evaluation)
    columns = [name for name in members[0] if name != "diverged"]
    heading = f"  {'success':>7}  95 % interval " if "success" in values else ""
    print("  " + "  ".join(f"{name:>6}" for name in columns) + f"{heading}  {'return':>8}  {'length':>7}")
    for p, member in enumerate(members):
        row = "  " + "  ".join(f"{member[name]:>{max(6, len(name))}g}" for name in columns)
        if "success" in values:
            low, high = values["success_95"][p]
            row += f"  {values['success'][p]:7.2f}  [{low:.2f}, {high:.2f}]  "
        row += f"  {values['return'][p]:8.1f}  {values['length'][p]:7.1f}"
        print(row + (f"  diverged at update {member['diverged']:,}" if "diverged" in member else ""))


if __name__ == "__main__":
    sys.exit(main())
