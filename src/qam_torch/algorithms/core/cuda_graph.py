"""Capture updates as CUDA graphs: one launch replaces thousands, and the GPU does not wait for the host.

A graph requires a function that reads nothing on the host. An update meets this requirement: it depends only on the
state, the batch and the noise. The inputs of a graph must stay at the same addresses. Therefore batches and noise are
copied into buffers of the graph.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from qam_torch.types import Batch, Noise

__all__ = ["CudaGraphs", "GraphedUpdate", "UpdateResult", "cuda_graphs_for"]

Part = tuple[str, Callable[[], None]]


class UpdateResult(NamedTuple):
    """The result of an update in addition to the new state.

    Attributes:
        report: losses or metrics by name, (P,) each.
        gradients: gradients that the optimizer used, in the order of `networks.parameters()`.
    """

    report: dict[str, Tensor]
    gradients: list[Tensor | None]


class CudaGraphs:
    """Capture functions as CUDA graphs on one GPU, all in one stream.

    All graphs share one memory pool. This is safe because graphs are replayed one after another, and each result is
    read before the next replay. If a graph is destroyed during the capture of another graph, the capture ends.
    Therefore garbage is collected before a capture and not during it.

    Args:
        device: GPU on which functions are captured.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def on_capture_stream(self) -> Iterator[None]:
        """Run the block in the capture stream, after all earlier work and before all later work.

        The warm-up also runs in this stream, because libraries keep handles and memory per stream.
        """
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        try:
            with torch.cuda.stream(self.stream):  # restores the current stream even if ending a capture fails
                yield
        finally:
            current.wait_stream(self.stream)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Capture the kernel launches of a function without running them.

        Returns:
            A function that replays the launches.

        Raises:
            RuntimeError: the function cannot be captured. The current stream is restored.
        """

        def whole(begin: Callable[[str], None]) -> None:
            begin("")
            function()

        ((_, replay),) = self.capture_parts(whole)
        return replay

    def capture_parts(self, function: Callable[[Callable[[str], None]], None]) -> list[Part]:
        """Capture the kernel launches of a function as one graph per section.

        Args:
            function: takes a callback, and calls it with the section's name at the start of each section. The first
                section must start before the first launch.

        Returns:
            Name and replay function of each section. Calling all replay functions in order is one run.
        """
        graphs: list[tuple[str, torch.cuda.CUDAGraph]] = []

        def begin(name: str) -> None:
            if graphs:
                graphs[-1][1].capture_end()
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU during the capture, e.g. to load the next data file.
            graph.capture_begin(pool=self.pool, capture_error_mode="thread_local")
            graphs.append((name, graph))

        gc.collect()
        torch.cuda.synchronize(self.device)
        torch.cuda.empty_cache()
        with self.on_capture_stream(), _no_collection():
            try:
                function(begin)
                graphs[-1][1].capture_end()
            except BaseException:
                with contextlib.suppress(RuntimeError, IndexError):  # only the first error is reported
                    graphs[-1][1].capture_end()
                raise
        return [(name, graph.replay) for name, graph in graphs]


def cuda_graphs_for(device: torch.device) -> CudaGraphs | None:
    """Return the `CudaGraphs` of a CUDA device, or None for any other device."""
    return CudaGraphs(device) if device.type == "cuda" else None


class GraphedUpdate:
    """An update for one batch shape, with buffers for its inputs.

    The update function is passed to each call and not stored, so that a graph never keeps its algorithm alive.

    Args:
        graphs: object that captures the update.
        batch: example batch. Later batches must have the same shapes.
        noise: example noise. Later noise must have the same names and shapes.

    Attributes:
        calls: number of calls of `load` so far.
        captured: whether `replay` can be called.
        result: result of the last update. After a replay, it is in memory that the next replay overwrites.
    """

    def __init__(self, graphs: CudaGraphs, batch: Batch, noise: Noise) -> None:
        self.graphs = graphs
        self.buffers = [tensor.clone() for tensor in (*batch, *noise.values())]
        self.batch = Batch(*self.buffers[: len(batch)])
        self.noise = dict(zip(noise, self.buffers[len(batch) :], strict=True))
        self.calls = 0
        self.result = UpdateResult({}, [])
        self._replay: Callable[[], None] | None = None

    @property
    def captured(self) -> bool:
        """Whether the update has been captured."""
        return self._replay is not None

    def load(self, batch: Batch, noise: Noise) -> None:
        """Copy the inputs of the next update into the buffers."""
        torch._foreach_copy_(self.buffers, [*batch, *(noise[name] for name in self.noise)])
        self.calls += 1

    def run(self, update: Callable[[Batch, Noise], UpdateResult]) -> None:
        """Run the update without a graph."""
        with self.graphs.on_capture_stream():
            self.result = update(self.batch, self.noise)

    def capture(self, update: Callable[[Batch, Noise], UpdateResult]) -> None:
        """Capture the update without running it."""

        def keep() -> None:
            self.result = update(self.batch, self.noise)

        self._replay = self.graphs.capture(keep)

    def replay(self) -> None:
        """Replay the captured update."""
        assert self._replay is not None
        self._replay()

    def report(self) -> dict[str, Tensor]:
        """Return a copy of the last update's report."""
        return {name: value.clone() for name, value in self.result.report.items()}


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
