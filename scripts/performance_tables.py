"""The tables of docs/performance.md from what `qam-bench` has written.

    qam-bench --algo all --size paper --updates 4 --parts --json round1.json
    python scripts/performance_tables.py round1.json [round2.json ...]

Of several rounds the least time of an update, and of each part, counts, and the best matrix rate.
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


def speed_table(methods: dict[str, dict[str, Any]], peak: float) -> str:
    """A row a method: times, operations, rates."""
    rows = ["| `algo=` | ms/update | updates/s | GFLOP/update | GFLOP/s | of peak |", "| --- " + "| ---: " * 5 + "|"]
    for name, one in methods.items():
        rate = 1e3 * one["gflop"] / one["ms"]
        figures = f"{one['ms']:.0f} | {1e3 / one['ms']:.2f} | {one['gflop']:.1f} | {rate:.0f} | {rate / peak:.0%}"
        rows.append(f"| `{name}` | {figures} |")
    return "\n".join(rows)


def parts_table(one: dict[str, Any]) -> str:
    """A row a part of one method."""
    rows = ["| part | ms | GFLOP | GFLOP/s |", "| --- " + "| ---: " * 3 + "|"]
    for name, part in one["parts"].items():
        rows.append(f"| {name} | {part['ms']:.1f} | {part['gflop']:.2f} | {1e3 * part['gflop'] / part['ms']:.0f} |")
    return "\n".join(rows)


def compact_table(methods: dict[str, dict[str, Any]]) -> str:
    """A row a method: the parts that all have, then its own."""
    rows = [f"| `algo=` | {' | '.join(COLUMNS)} | {LAST} | its own |", "| --- " + "| ---: " * 4 + "| --- |"]
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
    names = [one["algo"] for one in rounds[0]["results"]]
    methods = {name: least([r for each in rounds for r in each["results"] if r["algo"] == name]) for name in names}
    results = [one for each in rounds for one in each["results"]]
    peak = max(rate for one in results for rate in one["peak_gflop_per_s"].values())
    about = rounds[0]["machine"]
    print(f"{about['cores']} cores of {about['cpu']}, {about['threads']} threads, torch {about['torch']}, ", end="")
    print(f"peak {peak:.0f} GFLOP/s, {len(rounds)} rounds\n")
    print(speed_table(methods, peak))
    if "qam" in methods:
        print(f"\n{parts_table(methods['qam'])}")
    print(f"\n{compact_table(methods)}")


if __name__ == "__main__":
    main()
