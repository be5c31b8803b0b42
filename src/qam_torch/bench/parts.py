"""Time and matrix products of the parts of an update, for any method.

The update is recorded as in training, while `part_labels` labels every operation with its part. It is then replayed
with a clock, or a counter of operations, that is read wherever another part begins. On a GPU each stretch of a part is
a CUDA graph of its own, timed by the device; the sum exceeds the time of the whole update by the launches of these.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import fx

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.cuda_graph import GraphedUpdate, Part, UpdateResult, cuda_graphs_for
from qam_torch.algorithms.core.fast_update import WARM_UP
from qam_torch.algorithms.core.recording import RecordedGradients
from qam_torch.bench.measure import Clock, synchronize
from qam_torch.bench.part_labels import PART, Labeling
from qam_torch.bench.workload import Workload, flop_counter
from qam_torch.types import Batch, Noise

__all__ = ["DRAWING", "MOVING", "UpdateInParts", "measure_parts"]

DRAWING = "drawing the noise"
MOVING = "Polyak, clipping, Adam"


class _Stopwatch:
    """Sums the difference of two readings, in seconds or operations, by part."""

    def __init__(self) -> None:
        self.read: Callable[[], Any] = time.perf_counter
        self.visits: list[tuple[str, Any, Any]] = []
        self.part, self.since = "", self.read()

    def begin(self, part: str) -> None:
        """Begin a part and end the one before."""
        now = self.read()
        if self.part:
            self.visits.append((self.part, self.since, now))
        self.part, self.since = part, self.read()

    def take(self, between: Callable[[Any, Any], float] = lambda begin, end: end - begin) -> dict[str, float]:
        """Return what every part has spent since the last call; the last part must have ended."""
        spent: dict[str, float] = defaultdict(float)
        for part, begin, end in self.visits:
            spent[part] += between(begin, end)
        self.visits = []
        return dict(spent)


class UpdateInParts:
    """Recorded updates of a workload with a stopwatch inside; they train its algorithm like other updates.

    Args:
        workload: the workload whose updates are recorded.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload, self.watch = workload, _Stopwatch()
        self.begin: Callable[[str], None] = self.watch.begin
        labeling = cast(Algorithm, Labeling(workload.algorithm))
        self.gradients = RecordedGradients(labeling, *workload.example(), diagnose=False)
        self.gradients.rewrite(for_gpu=workload.device.type == "cuda")
        module = self.gradients.module
        self.first = _insert_calls(module.graph, lambda part: self.begin(part))
        module.recompile()
        self.gradients.run = module.forward
        graphs = None if workload.algorithm.capture is False else cuda_graphs_for(workload.device)
        self.graphed = None if graphs is None else GraphedUpdate(graphs, *workload.example())
        self.graphs: list[Part] = [] if self.graphed is None else self._capture(self.graphed)

    def spent(self, updates: int, read: Callable[[], float]) -> dict[str, float]:
        """Run updates in eager mode and sum a reading by part.

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
            self._update(*self._given(noise, u))
        self.watch.begin("")
        return self.watch.take()

    def flops(self) -> dict[str, int]:
        """Matrix-product operations of one update by part."""
        with flop_counter() as counter:
            return {name: round(count) for name, count in self.spent(1, counter.get_total_flops).items()}

    def seconds(self, updates: int, clock: Clock) -> dict[str, float]:
        """Seconds of updates by part; on a GPU, of their graphs on the device."""
        if self.graphed is None:
            return self.spent(updates, self._waiting(clock))
        self.watch.read = _event
        self.watch.begin(DRAWING)
        noise = self.workload.noise(updates)
        for u in range(updates):
            self.graphed.load(*self._given(noise, u))
            for part, replay in self.graphs:
                self.watch.begin(part)
                replay()
        self.watch.begin("")
        synchronize(self.workload.device)
        return self.watch.take(lambda begin, end: begin.elapsed_time(end) / 1e3)

    def _given(self, noise: Noise, u: int) -> tuple[Batch, Noise]:
        """Batch and noise of an update out of the noise of several."""
        return self.workload.batch.update(u), {name: draw[u] for name, draw in noise.items()}

    def _update(self, batch: Batch, noise: Noise) -> UpdateResult:
        report, gradients = self.gradients(batch, noise)
        self.begin(MOVING)
        return self.workload.algorithm.finish_update(report, gradients, diagnose=False)

    def _capture(self, graphed: GraphedUpdate) -> list[Part]:
        """The update as graphs, one for each stretch of a part."""

        def update(begin: Callable[[str], None]) -> None:
            self.begin = begin
            begin(self.first)
            graphed.result = self._update(graphed.batch, graphed.noise)

        for _ in range(WARM_UP):
            graphed.run(self._update)
        self.watch.begin("")
        self.watch.take()
        try:
            return graphed.graphs.capture_parts(update)
        finally:
            self.begin = self.watch.begin

    def _waiting(self, clock: Clock) -> Clock:
        def now() -> float:
            synchronize(self.workload.device)
            return clock()

        return now


def _event() -> torch.cuda.Event:
    """A reading of the device's clock."""
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _insert_calls(graph: fx.Graph, begin: Callable[[str], None]) -> str:
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
        workload: the workload whose updates are measured.
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
