"""Kernels and memory traffic of an update on a GPU, by part, counted without a GPU.

python scripts/kernel_counts.py ALGO... [--size paper] [--population 1 12] [--compiled] [--json]

The update is recorded as on a GPU, on a device that computes nothing (fake_gpu.py, needs g++), and its operations are
translated into kernels by a model: most operations are one; a view is none; a product with a bias that is not a vector
copies the bias first. `products` are those kernels that are matrix products. `GB` is what kernels read and write, each
operand once: caches are not modeled. Inputs are copied and noise is drawn outside the CUDA graph, and not counted.

With `--compiled` the losses and gradients are counted as compile=true compiles them: from the schedule that torch's
Inductor makes for an H100 (inductor_schedule.py). The kernels of several parts are fused, so these parts are one row.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import fake_gpu

if __name__ == "__main__":
    fake_gpu.install()

import torch
from inductor_schedule import PRODUCTS, Counts, count_compiled
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qam_torch.bench.parts import DRAWING, MOVING, UpdateInParts
from qam_torch.bench.workload import PRESETS, Workload, method_names
from qam_torch.types import Batch

NO_KERNEL = {"_unsafe_view", "alias", "detach", "empty", "empty_like", "empty_strided", "lift_fresh", "new_empty"}
BIASED = {"addmm", "_addmm_activation", "baddbmm"}
TENSORS_PER_LAUNCH = {1: 110, 2: 64, 3: 48, 4: 36, 5: 30}
"""Of a multi-tensor kernel, by the number of tensors that belong together (torch: MultiTensorApply.cuh)."""
BLOCKS_PER_LAUNCH, BLOCK = 320, 65536
COMPILED = "losses and gradients, compiled"


class Kernels(TorchDispatchMode):
    """Sums the kernels that the operations would launch, and the bytes that these would read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.products, self.bytes = 0, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name.startswith("_foreach") or name == "_fused_adam_":
            self._count_multi_tensor(name, [one for one in args if isinstance(one, (list, tuple))])
        elif func.namespace == "aten" and not func.is_view and name not in NO_KERNEL:
            self._count(func, name, _tensors((args, kwargs)), _tensors(result))
        return result

    def _count(self, func: Any, name: str, sources: list[Tensor], results: list[Tensor]) -> None:
        self.kernels += 1
        if name not in PRODUCTS:
            self.bytes += _bytes(sources) + _bytes(sources[:1] if func._schema.is_mutable else results)
            return
        self.products += 1
        self.bytes += _bytes(sources) + _bytes(results)
        if name in BIASED and sources[0].ndim != 1:  # a copy of the bias is written, and read by the product
            self.kernels += 1
            self.bytes += 2 * _bytes(results)

    def _count_multi_tensor(self, name: str, lists: list[Any]) -> None:
        """A launch takes a limited number of tensors and of blocks; tensors that are not alike take one each."""
        first, *others = [one for one in lists if one and isinstance(one[0], Tensor)]
        depth = 1 + sum(one[0].numel() == first[0].numel() for one in others)
        layouts = [[(tensor.shape, tensor.stride()) for tensor in one] for one in (first, *others)]
        alike = name == "_fused_adam_" or all(layout == layouts[0] for layout in layouts)
        blocks = sum(math.ceil(tensor.numel() / BLOCK) for tensor in first)
        launches = max(math.ceil(len(first) / TENSORS_PER_LAUNCH[depth]), math.ceil(blocks / BLOCKS_PER_LAUNCH))
        self.kernels += launches if alike else len(first)
        self.bytes += _bytes(tensor for one in lists for tensor in one if isinstance(tensor, Tensor))
        if name == "_foreach_norm":
            self.kernels += 1
        else:
            self.bytes += _bytes(first) * (3 if name == "_fused_adam_" else 1)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of the numbers in memory; an expanded dimension is read once."""
    return sum(
        math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
        * tensor.element_size()
        for tensor in tensors
    )


def kernel_counts(algo: str, size: str, population: int, compiled: bool = False) -> dict[str, dict[str, float]]:
    """Count the kernels of one captured update.

    Args:
        algo: one of `method_names()`.
        size: one of `PRESETS`.
        population: P.
        compiled: whether losses and gradients are compiled.

    Returns:
        Part, the last "total" -> `kernels`, `products` and `GB`.
    """
    workload = Workload(algo, PRESETS[size], population, capture=False, stack=1)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.autograd.set_multithreading_enabled(False):
        _move(workload, torch.device("cuda", 0))
        update = UpdateInParts(workload)
        with Kernels() as kernels:
            readings: dict[str, Callable[[], float]] = {
                "kernels": lambda: kernels.kernels,
                "products": lambda: kernels.products,
                "GB": lambda: kernels.bytes / 1e9,
            }
            update.spent(1, readings["kernels"])  # creates Adam's state
            found = {name: update.spent(1, read) for name, read in readings.items()}
        fused = _compiled(update) if compiled else None
    parts = [part for part in found["kernels"] if part != DRAWING]
    rows = {part: {name: found[name][part] for name in found} for part in parts}
    if fused is not None:
        first = {"kernels": float(fused.kernels), "products": float(fused.products), "GB": fused.bytes / 1e9}
        rows = {COMPILED: first, MOVING: rows[MOVING]}
    return {**rows, "total": {name: sum(row[name] for row in rows.values()) for name in found}}


def _compiled(update: UpdateInParts) -> Counts:
    """Losses and gradients of an update, compiled; it cannot be run afterwards."""
    batch, noise = update.workload.example()
    update.gradients.rewrite(for_gpu=True)  # without the calls between parts
    update.gradients.compile()
    return count_compiled(lambda: update.gradients(batch, noise))


def _move(workload: Workload, device: torch.device) -> None:
    """What `Workload` does for a device; made on a CPU first, because fake parameters cannot be converted."""
    workload.device = device
    workload.algorithm.to(device).configure_optimizers()
    workload.algorithm.noise = None
    workload.algorithm.prepare_noise(workload.size.batch_size)
    workload.batch = Batch(*(field.to(device) for field in workload.batch))


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algo", nargs="+", choices=method_names(), metavar="ALGO", help=", ".join(method_names()))
    parser.add_argument("--size", choices=list(PRESETS), default="paper", help="of networks and batches")
    parser.add_argument("--population", type=int, nargs="+", default=[1, 12], metavar="P", help="members")
    parser.add_argument("--compiled", action="store_true", help="count what compile=true compiles")
    parser.add_argument("--json", action="store_true", help="print one JSON object: ALGO -> P -> part -> figures")
    given = parser.parse_args()
    found = {
        algo: {str(p): kernel_counts(algo, given.size, p, given.compiled) for p in given.population}
        for algo in given.algo
    }
    if given.json:
        print(json.dumps(found))
        return
    for algo, populations in found.items():
        for population, parts in populations.items():
            print(f"{f'{algo}, {given.size}, P = {population}':34} {'kernels':>8} {'products':>8} {'GB':>7}")
            for part, row in parts.items():
                print(f"{part:34} {row['kernels']:8.0f} {row['products']:8.0f} {row['GB']:7.2f}")


if __name__ == "__main__":
    main()
