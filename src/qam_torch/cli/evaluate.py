"""`qam-eval CKPT [--episodes 50] [--video FILE.mp4] ...`: measure a checkpoint's policy in its environment."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qam_torch.cli.command import ListOf, Parser, run_command
from qam_torch.types import QamError, require

if TYPE_CHECKING:
    from qam_torch.rollout.evaluation import Evaluation

__all__ = ["main"]

DESCRIPTION = """\
Measure a checkpoint's policy in the environment that it was trained for: one row per member of the population.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-eval`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status, see `run_command`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command("qam-eval", lambda: _run(words), memory_hint="lower --environments, or give --member")


def _run(words: Sequence[str]) -> int:
    options = _parse(words)
    # torch is imported late, so that wrong options are reported quickly
    from qam_torch.config.instantiate import functions
    from qam_torch.inference.evaluate import evaluate
    from qam_torch.inference.load_algorithm import member_index
    from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
    from qam_torch.suites import suite_of
    from qam_torch.system.files import prepare_directory, write_json
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()
    if options.json is not None:
        prepare_directory(options.json.absolute().parent, "directory", "--json")
    if options.renderer is not None:
        os.environ["MUJOCO_GL"] = options.renderer
    arguments = {name: value for name, value in vars(options).items() if name not in ("json", "renderer", "metrics")}
    metrics = functions(options.metrics, "--metrics")
    try:
        evaluation = evaluate(**arguments, evaluation_metrics=metrics)
    except QamError as error:
        raise _name_options(error) from None
    checkpoint = read_checkpoint(options.ckpt)
    section, members = checkpoint[SECTION], _members(checkpoint)
    if options.member is not None:
        members = [members[member_index(checkpoint, options.member)]]
    print(f"{section['algorithm']} on {suite_of(section['run']).title(section['run'])}, update {section['update']:,}")
    _print_table(evaluation, members)
    if options.video is not None:
        print(f"  video: {options.video}")
    if options.json is not None:
        about = {"seeds": [one["seed"] for one in members], "members": members, "episodes": options.episodes}
        write_json(options.json, {**about, **_by_member(evaluation)})
    return 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse and check the options; raises QamError."""
    parser = _parser()
    _reject_old_syntax(words, parser)
    options = parser.parse_args(words)
    for name, minimum in (("episodes", 1), ("seed", 0), ("environments", 1), ("workers", 0), ("video_episodes", 1),
                        ("execute_steps", 1)):  # fmt: skip
        value = getattr(options, name)
        fits = value is None or value >= minimum
        require(f"--{name.replace('_', '-')}", fits, value, f"an integer >= {minimum}")
    if options.member is not None and options.member.isdecimal():
        options.member = int(options.member)
    suffix = None if options.video is None else options.video.suffix
    require("--video", suffix in (None, ".mp4", ".gif"), options.video, "a name that ends in .mp4 or .gif")
    return options


def _parser() -> Parser:
    parser = Parser(prog="qam-eval", description=DESCRIPTION)
    add = parser.add_argument
    add("ckpt", metavar="CKPT", help="a .ckpt file, or a run directory, whose last checkpoint is used")
    add("--episodes", type=int, default=50, metavar="N", help="episodes of each member, >= 1 (default 50)")
    add(
        "--member",
        metavar="M",
        help="one member only: its index, or an address such as seed=2,inv_temp=3 (default all)",
    )
    add("--policy", choices=("policy", "behavior"), default="policy",
        help="the method's policy, or its behavior flow f_beta alone (default policy)")  # fmt: skip
    add(
        "--seed", type=int, default=0, metavar="S", help="seed of the episodes and the policy's noise, >= 0 (default 0)"
    )
    add("--environments", type=int, metavar="N", help="maximum number of environments at a time, over all members, "
        ">= 1 (default 100, or three per process if one takes more than 20 MB)")  # fmt: skip
    add(
        "--workers",
        type=int,
        metavar="W",
        help="processes that step the environments; 0 for the main process (default one per core)",
    )
    add("--metrics", action=ListOf, metavar="FUNCTION", help="custom evaluation metrics, such as my_module.my_metric")
    add("--execute-steps", type=int, metavar="K", help="executed actions per chunk, before the policy selects the next "
        "chunk, from 1 to algo.horizon_length (default as in training)")  # fmt: skip
    add("--device", default="cpu", help="where the policy runs: cpu or cuda (default cpu)")
    add("--json", type=Path, metavar="FILE", help="write the results to this file")
    add("--video", type=Path, metavar="FILE", help="also render episodes to this .mp4 or .gif file")
    add("--video-episodes", type=int, default=2, metavar="N", help="episodes to render, >= 1 (default 2)")
    add("--renderer", choices=("egl", "osmesa", "glfw"), help="MuJoCo's renderer (default the first that works)")
    return parser


def _reject_old_syntax(words: Sequence[str], parser: Parser) -> None:
    """Raise QamError with the corrected command if a word is key=value, the syntax of earlier versions."""
    options = {one.dest: one.option_strings for one in parser._actions}
    path, others, found = ["CKPT"], [], False
    for before, word in itertools.pairwise(["", *words]):
        key, _, value = word.partition("=")
        if before.startswith("--") or word.startswith("-"):
            others.append(word)
            continue
        if key not in options or os.path.exists(word):
            path = [word]
            continue
        found = True
        if not options[key]:
            path = [value]
        elif value != "null":
            others += [options[key][-1], value]
    if found:
        raise QamError(
            f"key=value arguments are no longer accepted: write `{shlex.join(['qam-eval', *path, *others])}`"
        )


def _name_options(error: QamError) -> QamError:
    """Replace the names of `evaluate`'s arguments in an error message by this command's options."""
    names = "episodes|member|policy|environments|workers|device|video|execute_steps"
    return QamError(re.sub(rf"\b({names})=", lambda name: f"--{name[1].replace('_', '-')} ", str(error)))


def _members(checkpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """Seed and hyperparameters of each member, and the update at which it diverged if it did."""
    from qam_torch.inference.load_algorithm import members_in
    from qam_torch.rundir.checkpoints import SECTION

    diverged = checkpoint[SECTION]["diverged"]
    return [
        member.as_dict() | ({} if update is None else {"diverged": update})
        for member, update in zip(members_in(checkpoint), diverged, strict=True)
    ]


def _by_member(evaluation: Evaluation) -> dict[str, list[Any]]:
    """One list per metric, with one entry per member. `success` is left out if the environment does not report it."""
    lists = {name: values.tolist() for name, values in evaluation.by_member().items()}
    if evaluation.success is None:
        return lists
    return {"success": lists.pop("success"), "success_95": evaluation.interval().tolist(), **lists}


def _print_table(evaluation: Evaluation, members: Sequence[dict[str, Any]]) -> None:
    """Print a heading and one row per member."""
    values = _by_member(evaluation)
    columns = [name for name in members[0] if name != "diverged"]
    custom = [name for name in values if name not in ("success", "success_95", "return", "length")]
    heading = f"  {'success':>7}  95% interval  " if "success" in values else ""
    heading += f"  {'return':>8}  {'length':>7}" + "".join(f"  {name:>8}" for name in custom)
    print("  " + "  ".join(f"{name:>6}" for name in columns) + heading)
    for p, member in enumerate(members):
        row = "  " + "  ".join(f"{member[name]:>{max(6, len(name))}g}" for name in columns)
        if "success" in values:
            low, high = values["success_95"][p]
            row += f"  {values['success'][p]:7.2f}  [{low:.2f}, {high:.2f}]  "
        row += f"  {values['return'][p]:8.1f}  {values['length'][p]:7.1f}"
        row += "".join(f"  {values[name][p]:>{max(8, len(name))}.4g}" for name in custom)
        print(row + (f"  diverged at update {member['diverged']:,}" if "diverged" in member else ""))


if __name__ == "__main__":
    sys.exit(main())
