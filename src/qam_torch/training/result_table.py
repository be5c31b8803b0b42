"""Print the table of results at the end of a run."""

from __future__ import annotations

import shlex
from typing import Any

from qam_torch.algorithms.core.members import address_of
from qam_torch.rundir.paths import RunPaths

__all__ = ["print_results"]

STANDARD = ("success", "success_95", "return")
"""Keys of built-in metrics. Other keys that have a value per seed are custom metrics."""


def print_results(paths: RunPaths, summary: dict[str, Any]) -> None:
    """Print the results of a run and the names of its files.

    Args:
        paths: paths of the run directory.
        summary: content of summary.json.
    """
    final = summary["final"]
    seeds = len(summary["members"])
    measure, digits = ("success", 2) if "success" in final else ("return", 1)
    sample = f"{summary['episodes']} episodes" + (f" per seed, {seeds} seeds" if seeds > 1 else "")
    rows = [(measure, f"{_outcome(final)}  ({_span(final, seeds)}{sample})")]

    def by_seed(part: dict[str, Any]) -> str:
        values = zip(part["seeds"], part[f"{measure}_by_seed"], strict=True)
        return "  ".join(f"{seed}: {value:.{digits}f}" for seed, value in values)

    if summary["cells"]:
        rows += [(address_of(cell["values"]), f"{_outcome(cell)}  {by_seed(cell)}") for cell in summary["cells"]]
    elif len(summary["seeds"]) > 1:
        rows.append(("by seed", by_seed({**final, "seeds": summary["seeds"]})))
    diverged = [member for member in summary["members"] if "diverged" in member]
    rows += [("diverged", f"{member['name']} at update {member['diverged']:,}") for member in diverged]
    for name, value in final.items():
        if f"{name}_by_seed" in final and name not in STANDARD and value is not None:
            rows.append((name, f"{value:.4g}"))
    if summary["after_offline"]:
        rows.append(("after offline", f"{summary['after_offline'].get(measure, 0.0):.{digits}f}"))
    if summary["behavior"] is not None:
        rows.append(("behavior flow", _outcome(summary["behavior"])))
    rows.append(("updates", f"{summary['updates']:,} in {summary['wall_seconds']:,.0f} s"))
    rows.append(("capture", summary["versions"]["capture"]))
    if summary["online_steps"]:
        rows.append(("online steps", f"{summary['online_steps']:,} per seed"))
    files = (paths.summary, paths.metrics, paths.config, paths.versions, paths.tensorboard)
    rows += [
        ("results", f"{paths.directory}/"),
        ("", "  ".join(path.name + "/" * path.is_dir() for path in files if path.exists())),
        ("", "checkpoints/{last,best}.ckpt  " + "  ".join(summary["plots"])),
        ("watch again", f"qam-eval {shlex.quote(str(paths.last_checkpoint))} --video episodes.mp4"),
    ]
    width = max(15, *(len(name) for name, _ in rows))
    print()
    for name, value in rows:
        print(f"  {name:{width}} {value}")


def _span(part: dict[str, Any], seeds: int) -> str:
    """Return a description of the brackets in the text of `_outcome`; "" if the text has no brackets."""
    if "success" not in part:
        return "mean and range, "
    if part["success_95"] is None:
        return ""
    return f"95% interval over {'seeds' if seeds > 1 else 'episodes'}, "


def _outcome(part: dict[str, Any]) -> str:
    if "success" in part:
        interval = "" if part["success_95"] is None else " [{:.2f}, {:.2f}]".format(*part["success_95"])
        return f"{part['success']:.2f}{interval}"
    return "{:.1f} [{:.1f}, {:.1f}]".format(part["return"], *part["return_range"])
