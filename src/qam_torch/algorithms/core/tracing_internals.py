"""The private parts of torch's tracing on which `record` depends.

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


class _MetaTensors(TorchDispatchMode):
    """Makes tensors on the device "meta", which have no memory. It replaces a FakeTensorMode."""

    shape_env = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), "device": "meta"})


@contextlib.contextmanager
def light_tracing() -> Iterator[None]:
    """Context in which `make_fx` takes about half of its usual time.

    `make_fx` then represents results by tensors on the device "meta", and generates no code for the module. By default
    it creates a FakeTensorMode for every operation, each with the call stack.
    """
    fake_mode: Any = _MetaTensors()
    with tracing(TracingContext(fake_mode)), _use_lazy_graph_module(True):
        yield
