"""Cost of `on_divergence=freeze` per update: Adam runs member by member, as it does if members have different `lr`.

python scripts/freezing_cost.py
"""

from __future__ import annotations

import statistics
import time

from qam_torch.bench.workload import PRESETS, Workload

ROUNDS, SECONDS = 7, 1.0


def block(workload: Workload, updates: int) -> float:
    """Milliseconds an update."""
    start = time.perf_counter()
    workload.run(updates)
    return 1e3 * (time.perf_counter() - start) / updates


def main() -> None:
    """Both kinds in turn, so that what else the machine does falls on both alike."""
    print(f"{'size':10} {'P':>3} {'stop':>9} {'freeze':>9}  times as long (median of {ROUNDS} pairs)")
    for size in ("small", "medium"):
        for population in (1, 4, 12):
            kinds = [
                Workload("qam", PRESETS[size], population, overrides=[f"on_divergence={kind}"])
                for kind in ("stop", "freeze")
            ]
            updates = max(2, round(1e3 * SECONDS / min(block(kind, 2) + block(kind, 2) for kind in kinds)))
            pairs = [[block(kind, updates) for kind in kinds] for _ in range(ROUNDS)]
            stop, freeze = (min(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(after / before for before, after in pairs)
            print(f"{size:10} {population:3} {stop:6.2f} ms {freeze:6.2f} ms  {ratio:.2f}")


if __name__ == "__main__":
    main()
