"""Time and matrix products of the parts of an update, for any method.

The update is recorded as in training, while `part_labels` labels every operation with its part. It is then replayed
with a clock, or a counter of operations, that is read wherever another part begins. On a GPU each reading waits for the
device, and the update is not a CUDA graph, so that the sum exceeds the time of the whole update.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import cast

from torch import fx

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.recording import RecordedGradients
from qam_torch.bench.measure import Clock, synchronize
from qam_torch.bench.part_labels import PART, Labelling
from qam_torch.bench.workload import Workload, flop_counter

__all__ = ["DRAWING", "MOVING", "UpdateInParts", "measure_parts"]

DRAWING = "drawing the noise"
MOVING = "Polyak, clipping, Adam"


class _Stopwatch:
    """Sums a reading, in seconds or operations, by part."""

    def __init__(self) -> None:
        self.read: Callable[[], float] = time.perf_counter
        self.spent: dict[str, float] = defaultdict(float)
        self.part, self.since = "", 0.0

    def begin(self, part: str) -> None:
        """Begin a part and end the one before."""
        now = self.read()
        if self.part:
            self.spent[self.part] += now - self.since
        self.part, self.since = part, self.read()

    def take(self) -> dict[str, float]:
        """Stop, and return what every part has spent since the last call."""
        self.begin("")
        spent, self.spent = dict(self.spent), defaultdict(float)
        return spent


class UpdateInParts:
    """Recorded updates of a workload with a stopwatch inside; they train its algorithm like other updates.

    Args:
        workload: whose updates to record.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload, self.watch = workload, _Stopwatch()
        labelling = cast(Algorithm, Labelling(workload.algorithm))
        self.gradients = RecordedGradients(labelling, *workload.example(), diagnose=False)
        module = cast(fx.GraphModule, self.gradients.run.__self__)  # type: ignore[attr-defined]
        self.first = _insert_stopwatch_calls(module.graph, self.watch.begin)
        module.recompile()
        self.gradients.run = module.forward

    def spent(self, updates: int, read: Callable[[], float]) -> dict[str, float]:
        """Make updates and sum a reading by part.

        Args:
            updates: at most the workload's stack.
            read: seconds or operations so far.

        Returns:
            Part -> increase of the reading during it.
        """
        self.watch.read = read
        self.watch.begin(DRAWING)
        noise = self.workload.noise(updates)
        for u in range(updates):
            self.watch.begin(self.first)
            given = self.workload.batch.update(u), {name: draw[u] for name, draw in noise.items()}
            gradients = self.gradients(*given)[1]
            self.watch.begin(MOVING)
            for p, g in zip(self.workload.algorithm.networks.parameters(), gradients, strict=True):
                p.grad = g
            self.workload.algorithm.apply_gradients()
        return self.watch.take()

    def flops(self) -> dict[str, int]:
        """Matrix-product operations of one update by part."""
        with flop_counter() as counter:
            return {name: round(count) for name, count in self.spent(1, counter.get_total_flops).items()}

    def seconds(self, updates: int, clock: Clock) -> dict[str, float]:
        """Seconds of updates by part, including the device's work."""

        def now() -> float:
            synchronize(self.workload.device)
            return clock()

        return self.spent(updates, now)


def _insert_stopwatch_calls(graph: fx.Graph, begin: Callable[[str], None]) -> str:
    """Call `begin` wherever another part begins; an operation without a label belongs to the part before it.

    Returns the first part.
    """
    operations = [node for node in graph.nodes if node.op == "call_function"]
    first = part = next(node.meta[PART] for node in operations if PART in node.meta)
    for node in operations:
        here = node.meta.get(PART, part)
        if here != part:
            part = here
            with graph.inserting_before(node):
                graph.call_function(begin, (part,))
    return str(first)


def measure_parts(
    workload: Workload, updates: int, repeats: int, clock: Clock = time.perf_counter
) -> dict[str, dict[str, float]]:
    """Measure the parts of a recorded update.

    Args:
        workload: whose updates to measure.
        updates: int >= 1, updates per block; at most the workload's stack.
        repeats: int >= 1, blocks.
        clock: one of `CLOCKS`.

    Returns:
        Part -> median milliseconds `ms`, the least `best_ms`, and `gflop`; these add up to the whole update's.
    """
    parts, updates = UpdateInParts(workload), min(updates, workload.stack)
    flops = parts.flops()
    blocks = [parts.seconds(updates, clock) for _ in range(repeats)]
    found = {}
    for name, count in flops.items():
        times = [1e3 * block[name] / updates for block in blocks]
        found[name] = {"ms": statistics.median(times), "best_ms": min(times), "gflop": count / 1e9}
    return found
