"""Tables of docs/performance.md from files of `qam-bench`.

    qam-bench --algo all --size paper --updates 4 --parts --json round1.json
    qam-bench --algo all --size paper --updates 4 --precision bf16-mixed --json mixed.json
    python scripts/performance_tables.py round1.json [round2.json ...] [mixed.json ...]

With several rounds, the tables use the shortest time of an update and of each part, and the best matrix rate. Rounds in
bf16-mixed add columns to the first table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("acting in the TD target", "critic/loss", "behavior/loss")
FIRST, LAST = "drawing the noise", "Polyak, clipping, Adam"
WORTH_TELLING = 0.05
"""GFLOP of a part that has no column from which on it is listed."""


def least(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """One method's figures of all rounds -> `ms`, `gflop`, and `parts` with the same."""
    parts = {
        name: {"ms": min(one["parts"][name]["best_ms"] for one in rounds), "gflop": part["gflop"]}
        for name, part in rounds[0]["parts"].items()
    }
    ms = min(one["best_ms_per_update"] for one in rounds)
    return {"ms": ms, "gflop": rounds[0]["gflop_per_update"], "parts": parts}


def cell(part: dict[str, float] | None) -> str:
    """Milliseconds and GFLOP of a part."""
    return f"{part['ms']:.0f} ({part['gflop']:.1f})" if part else ""


def speed_table(methods: dict[str, dict[str, Any]], peak: float, mixed: dict[str, float], mixed_peak: float) -> str:
    """A row a method: times, operations, rates; and its time in bf16-mixed, where that was measured."""
    more = ["bf16-mixed: ms/update", "times as fast", "of its peak"] if mixed else []
    names = ["`algo=`", "GFLOP/update", "ms/update", "updates/s", "GFLOP/s", "of peak", *more]
    rows = [f"| {' | '.join(names)} |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    for name, one in methods.items():
        ms, gflop = one["ms"], one["gflop"]
        rate = 1e3 * gflop / ms
        cells = [f"`{name}`", f"{gflop:.1f}", f"{ms:.0f}", f"{1e3 / ms:.2f}", f"{rate:.0f}", f"{rate / peak:.0%}"]
        if mixed:
            cells += [f"{mixed[name]:.0f}", f"{ms / mixed[name]:.1f}", f"{1e3 * gflop / mixed[name] / mixed_peak:.0%}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def highest_peak(results: list[dict[str, Any]]) -> float:
    """The best matrix rate that was measured beside any of them, in GFLOP/s."""
    return max((rate for one in results for rate in one["peak_gflop_per_s"].values()), default=1.0)


def parts_table(one: dict[str, Any]) -> str:
    """A row a part of one method."""
    rows = ["| part | ms | GFLOP | GFLOP/s |", "| --- " + "| ---: " * 3 + "|"]
    for name, part in one["parts"].items():
        rows.append(f"| {name} | {part['ms']:.1f} | {part['gflop']:.2f} | {1e3 * part['gflop'] / part['ms']:.0f} |")
    return "\n".join(rows)


def compact_table(methods: dict[str, dict[str, Any]]) -> str:
    """A row a method: the parts that all have, then its own."""
    rows = [f"| `algo=` | {' | '.join(COLUMNS)} | {LAST} | other parts |", "| --- " + "| ---: " * 4 + "| --- |"]
    for name, one in methods.items():
        shared = [cell(one["parts"].get(column)) for column in COLUMNS]
        others = {key: part for key, part in one["parts"].items() if key not in (*COLUMNS, FIRST, LAST)}
        own = [f"{key} {cell(part)}" for key, part in others.items() if part["gflop"] >= WORTH_TELLING]
        rows.append(f"| `{name}` | {' | '.join(shared)} | {one['parts'][LAST]['ms']:.0f} | {', '.join(own)} |")
    return "\n".join(rows)


def main() -> None:
    """Print the tables."""
    rounds = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    if not rounds:
        sys.exit("give the files that qam-bench --parts --json has written")
    every = [one for each in rounds for one in each["results"]]
    full = [one for one in every if one["precision"] == "float32"]
    half = [one for one in every if one["precision"] != "float32"]
    names = list(dict.fromkeys(one["algo"] for one in full))
    methods = {name: least([one for one in full if one["algo"] == name]) for name in names}
    quick = [(name, [one["best_ms_per_update"] for one in half if one["algo"] == name]) for name in names]
    mixed = {name: min(times) for name, times in quick if times}
    peak, mixed_peak = highest_peak(full), highest_peak(half)
    about = rounds[0]["machine"]
    print(f"{about['cores']} cores of {about['cpu']}, {about['threads']} threads, torch {about['torch']}, ", end="")
    print(f"peak {peak:.0f} GFLOP/s{f', {mixed_peak:.0f} in bfloat16' if half else ''}, {len(rounds)} files\n")
    print(speed_table(methods, peak, mixed if len(mixed) == len(methods) else {}, mixed_peak))
    if "qam" in methods:
        print(f"\n{parts_table(methods['qam'])}")
    print(f"\n{compact_table(methods)}")


if __name__ == "__main__":
    main()
