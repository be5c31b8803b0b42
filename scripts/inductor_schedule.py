"""Kernels and memory traffic of a function that torch.compile compiles for a GPU, without a GPU and without Triton.

Inductor lowers and fuses the operations as for an H100, then its schedule is counted, and no code is generated.
Products stay calls of cuBLAS and are counted as in kernel_counts.py. The bytes of the other kernels are Inductor's own
count: each buffer once. On a GPU, Inductor may also pad products, which it decides by measuring; that is not counted.

All private parts of torch that this needs are here. They are those of torch 2.13.
"""

from __future__ import annotations

import contextlib
import math
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["PRODUCTS", "Counts", "count_compiled"]

PRODUCTS = {"addmm", "addmm_", "_addmm_activation", "baddbmm", "baddbmm_", "bmm", "mm"}
H100 = {
    "name": "NVIDIA H100",
    "major": 9,
    "minor": 0,
    "multi_processor_count": 132,
    "regs_per_multiprocessor": 65536,
    "max_threads_per_multi_processor": 2048,
    "max_threads_per_block": 1024,
    "warp_size": 32,
    "total_memory": 80 << 30,
}


class Counts(NamedTuple):
    """Kernels, those of them that are matrix products, and the bytes that all of them read and write."""

    kernels: int
    products: int
    bytes: int


class _Scheduled(Exception):
    """Ends a compilation before code is generated."""


class _OnHost(TorchDispatchMode):
    """Makes constants in the host's memory, where Inductor evaluates uniform ones."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def count_compiled(call: Callable[[], Any]) -> Counts:
    """Count what one compiled function launches.

    Args:
        call: calls a function made by torch.compile for the first time, on tensors of a FakeTensorMode on the device
            of fake_gpu.py. It does not return.

    Raises:
        RuntimeError: Inductor's schedule cannot be read, probably because torch is not 2.13.
    """
    graphs: list[Any] = []
    try:
        try:
            with _without_code(graphs):
                call()
        except Exception:
            if len(graphs) != 1:
                raise
        return _counted(*graphs)
    except Exception as error:
        problem = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:300]
        raise RuntimeError(
            f"cannot count what Inductor of torch {torch.__version__} schedules ({problem}): "
            "scripts/inductor_schedule.py is written for the private interfaces of torch 2.13"
        ) from error


@contextlib.contextmanager
def _without_code(graphs: list[Any]) -> Iterator[None]:
    """Inside the block, torch.compile appends its lowered graph with a schedule to a list, and raises."""
    from torch._dynamo.device_interface import CudaInterface
    from torch._functorch import config as functorch_config
    from torch._inductor import config, scheduler
    from torch._inductor.fx_passes.joint_graph import UniformValueConstantFolder
    from torch._inductor.graph import GraphLowering

    fold = UniformValueConstantFolder._deduce_value

    def fold_on_host(self: Any, node: Any) -> Any:
        with _OnHost():
            return fold(self, node)

    def stop(self: Any) -> Any:
        self._update_scheduler()
        graphs.append(self)
        raise _Scheduled

    device = types.SimpleNamespace(**H100)
    patches: list[tuple[Any, str, Any]] = [
        (torch.cuda, "get_device_properties", lambda *_: device),
        (torch.cuda, "get_device_capability", lambda *_: (device.major, device.minor)),
        (CudaInterface, "get_device_properties", staticmethod(lambda *_: device)),
        (scheduler, "has_triton", lambda *_: True),
        (UniformValueConstantFolder, "_deduce_value", fold_on_host),
        (GraphLowering, "compile_to_module", stop),
    ]
    options: Any = {"fx_graph_cache": False, "shape_padding": False, "compile_threads": 1}
    with contextlib.ExitStack() as stack:
        for where, name, value in patches:
            stack.enter_context(mock.patch.object(where, name, value))
        stack.enter_context(config.patch(options))
        stack.enter_context(functorch_config.patch(enable_autograd_cache=False))
        yield


def _counted(graph: Any) -> Counts:
    """Count a lowered graph's scheduled kernels."""
    from torch._inductor.virtualized import V

    with V.set_graph_handler(graph):
        kernels = [_counted_node(node) for node in graph.scheduler.nodes]
    return Counts(*(sum(column) for column in zip(*kernels, strict=True)))


def _counted_node(node: Any) -> Counts:
    """Count one kernel of the schedule, and the copy of the summand that a product may need."""
    from torch._inductor import ir
    from torch._inductor.scheduler import NopKernelSchedulerNode

    if isinstance(node, NopKernelSchedulerNode) or isinstance(node.node, ir.MultiOutput):
        return Counts(0, 0, 0)
    name = str(getattr(node.node, "python_kernel_name", "")).removesuffix(".default").rpartition(".")[2]
    if name not in PRODUCTS:
        return Counts(1, 0, node.get_read_write_buffers_sizes())
    outputs = getattr(node.node, "outputs", None) or [node.node]
    sources, result = [_bytes(one) for one in node.node.inputs], sum(map(_bytes, outputs))
    copies = len(sources) == 3 and len(node.node.inputs[0].get_size()) > 1
    return Counts(2 if copies else 1, 1, sum(sources) + result * (3 if copies else 1))


def _bytes(buffer: Any) -> int:
    """Bytes of a buffer's numbers. An expanded dimension counts once."""
    sizes = zip(map(int, buffer.get_size()), map(int, buffer.get_stride()), strict=True)
    return math.prod(size for size, stride in sizes if stride) * int(buffer.get_dtype().itemsize)
