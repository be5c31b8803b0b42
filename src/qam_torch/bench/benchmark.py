"""Measure the updates of methods, relative to the machine's peak rate of matrix products."""

from __future__ import annotations

from typing import Any

import torch

from qam_torch.bench.measure import CLOCKS, matrix_peak, measure
from qam_torch.bench.parts import measure_parts
from qam_torch.bench.workload import Size, Workload

__all__ = ["Benchmark"]


class Benchmark:
    """Measures methods one after another, and the peak rate of matrix products before the first and after each.

    Args:
        device: "cpu" or "cuda".
        precision: "float32" or "bf16-mixed".
        clock: "wall" or "cpu", a key of `CLOCKS`.
        recorded: whether updates are recorded and replayed.
        capture: "auto", True or False: whether recorded updates are CUDA graphs.
        compiled: whether recorded updates are compiled.
        config_dir: directory with configs of custom methods.

    Attributes:
        peaks: all measured peaks so far, in operations per second.
    """

    def __init__(
        self,
        device: str,
        precision: str,
        clock: str,
        recorded: bool,
        capture: bool | str,
        compiled: bool,
        config_dir: str | None = None,
    ) -> None:
        self.device, self.precision, self.clock = device, precision, clock
        self.recorded, self.capture, self.compiled, self.config_dir = recorded, capture, compiled, config_dir
        self.peaks = [self._measure_peak()]

    def workload(self, algo: str, size: Size, population: int) -> Workload:
        """The update to measure.

        Args:
            algo: name of the method, as in algo=NAME.
            size: sizes of networks and batches.
            population: P.
        """
        return Workload(
            algo, size, population, self.device, recorded=self.recorded, capture=self.capture, compiled=self.compiled,
            precision=self.precision, config_dir=self.config_dir,
        )  # fmt: skip

    def run(self, workload: Workload, preset: str, updates: int | None, repeats: int) -> dict[str, Any]:
        """Measure one workload.

        Args:
            workload: from `workload`.
            preset: name of the preset that the workload's size comes from.
            updates: updates per block; None for as many as take about two seconds.
            repeats: number of blocks.

        Returns:
            JSON-serializable results: what was measured, the results of `measure`, and the share of the peak.
        """
        result = {
            "algo": workload.algo,
            "preset": preset,
            "size": workload.size._asdict(),
            "population": workload.population,
            "recorded": self.recorded,
            "capture": workload.algorithm.capture_outcome,
            "compiled": self.compiled,
            "precision": self.precision,
            "clock": self.clock,
            **measure(workload, updates, repeats, CLOCKS[self.clock]),
        }
        self.peaks.append(self._measure_peak())
        before, after = (peak / 1e9 for peak in self.peaks[-2:])
        result["peak_gflop_per_s"] = {"before": before, "after": after}
        result["share_of_peak"] = result["gflop_per_s"] / max(before, after)
        return result

    def run_parts(self, workload: Workload, updates: int, repeats: int) -> dict[str, dict[str, float]]:
        """Measure the parts of the workload's update, see `measure_parts`."""
        return measure_parts(workload, updates, repeats, CLOCKS[self.clock])

    def _measure_peak(self) -> float:
        dtype = torch.bfloat16 if self.precision == "bf16-mixed" else torch.float32
        return matrix_peak(torch.device(self.device), dtype, CLOCKS[self.clock])
