"""Run updates as a CUDA graph, as a recorded flat list of operations, or in eager mode.

Each faster mode is compared with the slower mode at its first use. If the results differ or the faster mode fails,
updates continue in the slower mode, and a warning is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from qam_torch.algorithms.core.cuda_graph import GraphedUpdate, UpdateResult, cuda_graphs_for
from qam_torch.algorithms.core.recording import Differentiable, RecordedGradients
from qam_torch.algorithms.core.self_check import TOLERANCE, HasState, Snapshot, first_line, largest_difference
from qam_torch.types import Batch, Noise, QamError

__all__ = ["WARM_UP", "FastUpdate"]

WARM_UP = 3
"""Number of updates that run before a graph is captured. They create the optimizer's state."""

ROUNDING, ROUNDING_BFLOAT16 = 0.01, 0.1
"""Accepted relative difference after operations are rewritten for a GPU, in float32 and with products in bfloat16.

Float32 products are compared without TensorFloat-32. On a CPU, the rewritten operations then differ by less than 1e-6.
The tolerance is larger because the GELU that a GPU fuses into a product is approximate. In float32, the check still
detects a missing factor of 1.05. In bfloat16, it does not: a product is rounded to 8 bits (0.4%), and an update chains
tens of products.
"""

Key = tuple[bool, torch.Size]

log = logging.getLogger(__name__)


class Updatable(Differentiable, HasState, Protocol):
    """The interface of an algorithm that `FastUpdate` can run."""

    compile_update: bool
    mixed_precision: bool

    def finish_update(self, report: dict[str, Tensor], gradients: list[Tensor | None], diagnose: bool) -> UpdateResult:
        """Apply the gradients, and return the result of the update."""
        ...


class FastUpdate:
    """Run updates of one algorithm as fast as possible, as long as its tensors keep their addresses.

    The algorithm is passed to each call and not stored, so that recordings and graphs are freed with it.

    Args:
        capture: "auto", True or False: whether to capture a CUDA graph. With True, a failed capture raises an error.
        recorded: whether to record and replay operations.
        device: device of the algorithm.

    Attributes:
        recordings: recorded updates by (diagnose, rewards.shape).
        outcome: short description of how updates run.

    Raises:
        QamError: capture is True, but the device has no CUDA graphs or operations are not recorded.
    """

    def __init__(self, capture: str | bool, recorded: bool, device: torch.device) -> None:
        self.demanded, self.recorded = capture is True, recorded
        self.recordings: dict[Key, RecordedGradients] = {}
        self._unused: dict[Key, RecordedGradients] = {}  # recorded together with another, not used yet
        self._graphed: dict[Key, GraphedUpdate] = {}
        self._graphs = cuda_graphs_for(device) if recorded and capture is not False else None
        if not recorded:
            self.outcome = "eager"
        elif capture is False:
            self.outcome = "recorded replay"
        elif self._graphs is None:
            self.outcome = "recorded replay (no CUDA device)"
        else:
            self.outcome = "recorded replay (not captured yet)"
        if self.demanded and self._graphs is None:
            problem = f"the updates run on {device}" if recorded else "the updates are not recorded"
            raise QamError(f"capture=true needs recorded updates on a CUDA device, but {problem}: give capture=auto")

    def __call__(self, algorithm: Updatable, batch: Batch, noise: Noise, diagnose: bool) -> dict[str, Tensor]:
        """Run one update, and return its losses or metrics: name -> (P,), as new tensors."""
        if self._graphs is None:
            return self._make(algorithm, batch, noise, diagnose).report
        key = (diagnose, batch.rewards.shape)
        graphed = self._graphed.get(key)
        if graphed is None:
            graphed = self._graphed[key] = GraphedUpdate(self._graphs, batch, noise)
        graphed.load(batch, noise)
        if graphed.captured:
            graphed.replay()
        else:

            def make(batch: Batch, noise: Noise) -> UpdateResult:
                return self._make(algorithm, batch, noise, diagnose)

            if graphed.calls > WARM_UP:
                return self._capture(algorithm, graphed, make)
            graphed.run(make)
        return graphed.report()

    # Capture

    def _capture(
        self, algorithm: Updatable, graphed: GraphedUpdate, make: Callable[[Batch, Noise], UpdateResult]
    ) -> dict[str, Tensor]:
        """Run the update with and without a graph, compare them, and return the report of the run without a graph."""
        before: Snapshot | None = None
        problem, difference = "", 0.0
        try:
            before = Snapshot(algorithm)
            graphed.capture(make)
            graphed.replay()
        except Exception as error:
            problem = first_line(error)
        captured = graphed.result
        if before is not None:
            before.restore()
        graphed.run(make)
        if not problem:
            difference = _difference(captured, graphed.result)
        if difference > TOLERANCE:
            problem = f"the graph differs from the recorded update by {difference:.1e} (relative to the maximum)"
        report = graphed.report()
        if not problem:
            # Replays write to this report. The gradients are not needed.
            graphed.result = UpdateResult(captured.report, [])
            self.outcome = f"CUDA graph, equal to the recorded update {_to_how_much(difference)}"
            return report
        self._graphs = None
        self._graphed.clear()
        self.outcome = f"recorded replay (capture failed: {problem})"
        if self.demanded:
            raise QamError(f"capture=true, but the update cannot be captured ({problem}): give capture=auto")
        log.warning("updates are not captured as a CUDA graph (%s): the recorded operations are replayed", problem)
        return report

    # Without a graph

    def _make(self, algorithm: Updatable, batch: Batch, noise: Noise, diagnose: bool) -> UpdateResult:
        """Run one update without a graph, from recorded operations if possible."""
        return algorithm.finish_update(*self._differentiate(algorithm, batch, noise, diagnose), diagnose)

    def _differentiate(self, algorithm: Updatable, batch: Batch, noise: Noise, diagnose: bool) -> UpdateResult:
        if not self.recorded:
            return _by_operation(algorithm, batch, noise, diagnose)
        key = (diagnose, batch.rewards.shape)
        recording = self.recordings.get(key)
        if recording is not None:
            return UpdateResult(*recording(batch, noise))
        return self._record(algorithm, batch, noise, key)

    def _record(self, algorithm: Updatable, batch: Batch, noise: Noise, key: Key) -> UpdateResult:
        """Record the losses and gradients, compare them with eager mode, and return the result of eager mode."""
        diagnose = key[0]
        expected, problem = _by_operation(algorithm, batch, noise, diagnose), ""
        try:
            if key not in self._unused:
                both = RecordedGradients.of_both_kinds(algorithm, *_other_numbers(batch, noise))
                self._unused.update({(kind, key[1]): recording for kind, recording in both.items()})
            recording = self._unused.pop(key)
            difference = _difference(UpdateResult(*recording(batch, noise)), expected)
        except QamError:
            raise
        except Exception as error:
            problem = first_line(error)
        else:
            if difference > TOLERANCE:
                problem = f"a result differs by {difference:.1e}, e.g. from .item() or unnamed random draws"
        if not problem:
            if batch.rewards.is_cuda:
                _rewrite_for_gpu(recording, batch, noise, ROUNDING_BFLOAT16 if algorithm.mixed_precision else ROUNDING)
            if algorithm.compile_update and not diagnose:  # diagnostic updates are rare and not compiled
                recording.compile()
                recording(batch, noise)  # compiles now, before capture
            self.recordings[key] = recording
            return expected
        self.recorded, self._graphs = False, None
        self.recordings.clear()
        self._unused.clear()
        self._graphed.clear()
        self.outcome = f"eager (recording failed: {problem})"
        if self.demanded:
            raise QamError(f"capture=true, but the update cannot be recorded ({problem}): give capture=auto")
        log.warning("updates are not recorded (%s): they run in eager mode, which is slower", problem)
        return expected


def _rewrite_for_gpu(recording: RecordedGradients, batch: Batch, noise: Noise, accepted: float) -> None:
    """Rewrite a recording to use fewer kernels, and undo it if a result differs by more than `accepted`.

    Float32 products are compared without TensorFloat-32. In float64, the accepted difference is `TOLERANCE`.
    """
    problem = ""
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("highest")
        expected = UpdateResult(*recording(batch, noise))
        recording.rewrite(for_gpu=True)
        difference = _difference(UpdateResult(*recording(batch, noise)), expected)
        if difference > (TOLERANCE if batch.rewards.dtype == torch.float64 else accepted):
            problem = f"a gradient differs by {difference:.1e}"
    except Exception as error:
        problem = first_line(error)
    finally:
        torch.set_float32_matmul_precision(precision)
    if problem:
        recording.rewrite(for_gpu=False)
        log.warning("recorded operations are not rewritten for the GPU (%s): updates are slower", problem)


def _by_operation(algorithm: Updatable, batch: Batch, noise: Noise, diagnose: bool) -> UpdateResult:
    terms, gradients = algorithm.gradients(batch, noise)
    return UpdateResult(algorithm.report(terms, diagnose), gradients)


def _other_numbers(batch: Batch, noise: Noise) -> tuple[Batch, Noise]:
    """Return changed inputs for tracing, so that the comparison detects a loss that reads values on the host."""
    fields = ("observations", "actions", "rewards", "next_observations")
    other = batch._replace(**{name: 0.5 * getattr(batch, name) for name in fields})
    return other, {name: draw.flip(1) if draw.ndim > 1 else draw for name, draw in noise.items()}


def _difference(ours: UpdateResult, theirs: UpdateResult) -> float:
    pairs = [(made.report.values(), made.gradients) for made in (ours, theirs)]
    return max(largest_difference(*both) for both in zip(*pairs, strict=True))


def _to_how_much(difference: float) -> str:
    return "bit for bit" if difference == 0 else f"to {difference:.0e}"
