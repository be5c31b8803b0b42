"""The few private parts of torch's tracing that `record` depends on, in one place.

tests/algorithms/test_tracing_internals.py fails when a new version of torch changes one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode

__all__ = ["shared_fake_mode"]


@contextlib.contextmanager
def shared_fake_mode() -> Iterator[None]:
    """Inside the block `make_fx` traces all operations in one FakeTensorMode.

    By default it creates one for every operation, each with the call stack, which takes half the time.
    """
    with tracing(TracingContext(FakeTensorMode())):
        yield
