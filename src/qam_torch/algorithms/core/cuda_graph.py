"""A whole update as one CUDA graph: a single launch instead of some thousand, from a host that is not waited for.

The update is a closed function of (state, batch, noise) that reads nothing on the host, which is what a graph needs.
Its inputs have to stay at the same addresses, so batches and noise are copied into buffers of the graph's own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qam_torch.types import Batch, Noise

__all__ = ["GraphedUpdate"]

Update = Callable[[Batch, Noise], dict[str, Tensor]]

WARM_UP = 3
"""Updates made one operation at a time before the graph is captured; they create the optimiser's state."""


class GraphedUpdate:
    """An update for one shape of batch, captured after a few ordinary calls and replayed from then on.

    update        (batch, noise) -> name -> (P,); changes its state in place and reads nothing on the host
    batch, noise  an example; later ones have the same shapes
    capture       function -> its replay; by default a CUDA graph

    Every call makes exactly one update, the ordinary ones too.
    """

    def __init__(
        self,
        update: Update,
        batch: Batch,
        noise: Noise,
        capture: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    ) -> None:
        self.update, self.capture = update, capture or cuda_graph
        self.buffers = [tensor.clone() for tensor in (*batch, *noise.values())]
        self.batch = Batch(*self.buffers[: len(batch)])
        self.noise = dict(zip(noise, self.buffers[len(batch) :], strict=True))
        self.calls = 0
        self.replay: Callable[[], None] | None = None
        self.report: dict[str, Tensor] = {}

    def __call__(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """-> name -> (P,), the caller's to keep."""
        torch._foreach_copy_(self.buffers, [*batch, *(noise[name] for name in self.noise)])
        self.calls += 1
        if self.calls <= WARM_UP:
            self._run()
        else:
            if self.replay is None:
                self.replay = self.capture(self._run)
            self.replay()
        return {name: value.clone() for name, value in self.report.items()}

    def _run(self) -> None:
        self.report = self.update(self.batch, self.noise)


def cuda_graph(function: Callable[[], None]) -> Callable[[], None]:
    """Record what the function launches, without running it; calling the result runs it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay
