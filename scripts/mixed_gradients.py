"""Cosine and relative norm of gradients in bf16-mixed against float32, at the paper's size, on synthetic transitions.

python scripts/mixed_gradients.py [METHOD ...]
"""

from __future__ import annotations

import sys
from collections import defaultdict

import torch
from torch import Tensor

from qam_torch.bench.workload import PRESETS, Workload, method_names


def gradients(workload: Workload, mixed: bool, example: tuple) -> dict[str, Tensor]:
    """Network -> its gradient of the example, flat."""
    algorithm = workload.algorithm
    algorithm.mixed_precision = mixed
    found: dict[str, list[Tensor]] = defaultdict(list)
    _, given = algorithm.gradients(*example)
    for (name, _), gradient in zip(algorithm.networks.named_parameters(), given, strict=True):
        if gradient is not None:
            found[name.split(".")[0]].append(gradient.flatten().double())
    return {name: torch.cat(parts) for name, parts in found.items()}


def main() -> None:
    """A line for each method: each network's cosine between the two, and the ratio of their lengths."""
    for algo in sys.argv[1:] or method_names():
        workload = Workload(algo, PRESETS["paper"])
        workload.run(10)  # away from where networks begin
        example = workload.example()
        full, mixed = (gradients(workload, precision, example) for precision in (False, True))
        for name, gradient in full.items():
            cosine = torch.cosine_similarity(gradient, mixed[name], dim=0).item()
            print(f"{algo:10} {name:14} {cosine:.5f} {(mixed[name].norm() / gradient.norm()).item():.4f}", flush=True)


if __name__ == "__main__":
    main()
