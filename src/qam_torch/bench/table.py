"""Format the table that `qam-bench` prints."""

from __future__ import annotations

from typing import Any

from qam_torch.bench.sizes import PRESETS

__all__ = ["COLUMNS", "format_parts", "format_row"]

COLUMNS = (
    f"{'algo':10} {'size':12} {'P':>3} {'ms/update':>10} {'best':>9} {'updates/s':>10} {'members/s':>10} "
    f"{'GFLOP':>8} {'GFLOP/s':>8} {'of peak':>8} {'first s':>8}"
)


def format_row(result: dict[str, Any]) -> str:
    """Format a result as a row under COLUMNS. A star marks sizes that differ from those of the preset."""
    first = result["first_update_s"] + result["first_update_with_metrics_s"]
    mark = "*" * (result["size"] != PRESETS[result["preset"]]._asdict())
    return (
        f"{result['algo']:10} {result['preset'] + mark:12} {result['population']:3} {result['ms_per_update']:10.3f} "
        f"{result['best_ms_per_update']:9.3f} {result['updates_per_s']:10.1f} {result['member_updates_per_s']:10.1f} "
        f"{result['gflop_per_update']:8.3f} {result['gflop_per_s']:8.1f} {result['share_of_peak']:8.1%} {first:8.2f}"
    )


def format_parts(parts: dict[str, dict[str, float]]) -> list[str]:
    """Format one row per part of an update: time, best time, share of the time, operations and rate."""
    total = sum(part["ms"] for part in parts.values())
    return [
        f"  {name:25} {part['ms']:10.3f} {part['best_ms']:9.3f} {part['ms'] / total:21.1%} {part['gflop']:8.3f} "
        f"{1e3 * part['gflop'] / part['ms']:8.1f}"
        for name, part in parts.items()
    ]
