"""CUDA graphs on a CPU: capturing runs nothing in place, and replaying repeats the operations on the same memory.

What torch offers on a GPU is replaced, not what the library makes of it. As there, reading a number is forbidden while
a graph is captured, and destroying another graph, or ending a capture in another stream, invalidates the capture.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qam_torch.algorithms.core import fast_update
from qam_torch.algorithms.core.cuda_graph import CudaGraphs
from qam_torch.bench import parts

HOST_READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"}


class Recorder(TorchDispatchMode):
    """Lists operations, with the memory that they read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function.overloadpacket.__name__ in HOST_READS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {function}")
        if function._schema.is_mutable:
            self.tape.append((function, args, kwargs, None))
            return args[0] if function._schema.returns else None
        result = function(*args, **kwargs)  # for its memory alone, see `forget_numbers`
        if not function.is_view:
            self.tape.append((function, args, kwargs, result))
        return result

    def forget_numbers(self) -> None:
        """A capture computes nothing."""
        for _, args, kwargs, result in self.tape:
            given = {one.untyped_storage().data_ptr() for one in _tensors((args, kwargs))}
            for tensor in _tensors(result):
                if tensor.untyped_storage().data_ptr() not in given:
                    tensor.fill_(torch.nan if tensor.is_floating_point() else 0)

    def replay(self) -> None:
        with torch.no_grad():
            for function, args, kwargs, result in self.tape:
                again = function(*args, **kwargs)
                if result is not None:
                    for place, value in zip(_tensors(result), _tensors(again), strict=True):
                        if place.data_ptr() != value.data_ptr():
                            place.copy_(value)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class Stream:
    """A stream of a device; operations run at once in any of them."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.waited_for: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited_for.append(other)


class Runtime:
    """What the emulated device remembers.

    stream     the current one
    captures   every capture so far: its pool, its error mode, its stream, and whether garbage collection was off
    capturing  the graph that is being captured
    fails      an error that ending a capture raises
    spoil      does something to a graph that was captured
    seconds    on the device's clock
    """

    def __init__(self) -> None:
        self.stream = self.default = Stream()
        self.captures: list[tuple[object, str, Stream, bool]] = []
        self.capturing: Graph | None = None
        self.fails: str | None = None
        self.seconds = 0
        self.spoil: Callable[[Graph], None] = lambda graph: None

    @contextmanager
    def use(self, stream: Stream) -> Iterator[None]:
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before


RUNTIME = Runtime()


class Graph:
    """torch.cuda.CUDAGraph."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.valid = True

    def capture_begin(self, pool: object = None, capture_error_mode: str = "global") -> None:
        assert RUNTIME.capturing is None and RUNTIME.stream is not RUNTIME.default
        RUNTIME.captures.append((pool, capture_error_mode, RUNTIME.stream, not gc.isenabled()))
        RUNTIME.capturing, self.stream = self, RUNTIME.stream
        self.recorder.__enter__()

    def capture_end(self) -> None:
        if RUNTIME.capturing is not self:
            raise RuntimeError("nothing is being captured")
        RUNTIME.capturing = None
        self.recorder.__exit__(None, None, None)
        self.recorder.forget_numbers()
        if not self.valid or RUNTIME.stream is not self.stream:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        if RUNTIME.fails is not None:
            raise RuntimeError(RUNTIME.fails)
        RUNTIME.spoil(self)

    def replay(self) -> None:
        self.recorder.replay()

    def __del__(self) -> None:
        if RUNTIME.capturing not in (None, self):
            RUNTIME.capturing.valid = False


class Event:
    """torch.cuda.Event, of a device whose clock ticks a second at every reading."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        RUNTIME.seconds += 1
        self.at = RUNTIME.seconds

    def elapsed_time(self, end: Event) -> float:
        return 1e3 * (end.at - self.at)


@pytest.fixture
def cuda_graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """Updates on the CPU are captured as on a GPU."""
    RUNTIME.__init__()  # type: ignore[misc]
    for name, replacement in {
        "CUDAGraph": Graph,
        "Stream": Stream,
        "Event": Event,
        "stream": RUNTIME.use,
        "current_stream": lambda device=None: RUNTIME.stream,
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "graph_pool_handle": object,
    }.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    for module in (fast_update, parts):
        monkeypatch.setattr(module, "cuda_graphs_for", CudaGraphs)
    yield RUNTIME
    assert RUNTIME.stream is RUNTIME.default, "the current stream was not restored"
