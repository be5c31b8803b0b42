"""The few private parts of torch's tracing that `record` depends on, in one place.

tests/algorithms/test_tracing_internals.py fails when a new version of torch changes one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch._guards import TracingContext, tracing
from torch.fx._lazy_graph_module import _use_lazy_graph_module
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["light_tracing"]


class _WithoutMemory(TorchDispatchMode):
    """Makes tensors without memory, on the device "meta"; used in place of a FakeTensorMode."""

    shape_env = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), "device": "meta"})


@contextlib.contextmanager
def light_tracing() -> Iterator[None]:
    """Inside the block `make_fx` takes about half of its usual time.

    It describes results by tensors on the device "meta", and generates no code for the module. By default it creates a
    FakeTensorMode for every operation, each with the call stack.
    """
    descriptions: Any = _WithoutMemory()
    with tracing(TracingContext(descriptions)), _use_lazy_graph_module(True):
        yield
