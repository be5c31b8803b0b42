"""`qam-bench`: updates per second and arithmetic rate of a method, against the machine's measured peak.

What is timed is what training does between two looks at the trainer: drawing the noise of U stacked batches and
making U updates, with every metric computed at the last one only. The transitions are synthetic, and neither sampling
of batches nor the Trainer is included.

The arithmetic rate counts matrix products only. The peak is the best rate of large square float32 products, measured
right before and right after; on a machine that others use too, neither figure means much.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch

from qam_torch.algorithms import QAM, QAME, QAMF
from qam_torch.algorithms.base import Algorithm
from qam_torch.experiment.flops import count_flops, machine, matrix_peak, measure_parts, seconds
from qam_torch.types import Batch, Noise, QamError, require

__all__ = ["PRESETS", "REFERENCE_MS", "Size", "Workload", "main", "measure"]

ALGORITHMS: dict[str, type[QAM]] = {"qam": QAM, "qam_f": QAMF, "qam_e": QAME}
STACK = 20
BLOCK_SECONDS = 2.0
WARM_UP_SECONDS = 1.0
FEWEST_UPDATES = 4


class Size(NamedTuple):
    """What an update's cost depends on; the names are those of the algorithms' arguments."""

    observation_dim: int
    action_dim: int
    horizon_length: int
    hidden: tuple[int, ...]
    num_qs: int
    batch_size: int
    flow_steps: int


PRESETS = {
    "quickstart": Size(2, 2, 5, (128, 128), 2, 128, 5),
    "medium": Size(46, 5, 5, (128, 128), 10, 256, 10),
    "paper": Size(46, 5, 5, (512, 512, 512, 512), 10, 256, 10),
}
# Arguments that change the numbers and not the cost.
ARGUMENTS: dict[str, dict[str, float]] = {"quickstart": {"lr": 1e-3, "target_update_rate": 0.01, "inv_temp": 3.0}}

# The authors' JAX implementation of QAM, jitted, 20 updates a call, on two CPU cores whose matrix peak was measured at
# 160 GFLOP/s: least and most milliseconds seen for an update of one seed.
REFERENCE_LABEL = "reference (JAX, 2 cores)"
REFERENCE_MS = {"quickstart": (4.5, 5.5), "medium": (40.0, 50.0), "paper": (570.0, 640.0)}

COLUMNS = (
    f"{'algo':6} {'size':12} {'P':>3} {'ms/update':>10} {'best':>9} {'updates/s':>10} {'members/s':>10} "
    f"{'GFLOP':>8} {'GFLOP/s':>8} {'of peak':>8} {'first s':>8}   {REFERENCE_LABEL}"
)


class Workload:
    """An algorithm at work on synthetic transitions.

    algo        str         a key of ALGORITHMS
    size        Size
    population  int >= 1    P
    stack       int >= 1    batches stacked for one call, as for a trainer's step
    arguments   other arguments of the algorithm
    """

    def __init__(
        self,
        algo: str,
        size: Size,
        population: int,
        device: torch.device,
        capture: bool,
        stack: int = STACK,
        arguments: dict[str, float] | None = None,
        compiled: bool = False,
    ) -> None:
        self.algorithm: Algorithm = ALGORITHMS[algo](
            observation_dim=size.observation_dim,
            action_dim=size.action_dim,
            seeds=tuple(range(population)),
            horizon_length=size.horizon_length,
            num_qs=size.num_qs,
            flow_steps=size.flow_steps,
            actor_hidden_dims=size.hidden,
            value_hidden_dims=size.hidden,
            **(arguments or {}),  # type: ignore[arg-type]
        ).to(device)
        self.algorithm.configure_optimizers()
        self.algorithm.prepare_noise(size.batch_size)
        self.algorithm.capture, self.algorithm.compile_update = capture, compiled
        self.device, self.capture, self.stack = device, capture, stack
        generator = torch.Generator().manual_seed(0)
        lead, dim = (stack, population, size.batch_size), self.algorithm.chunk_dim
        batch = Batch(
            observations=torch.randn(*lead, size.observation_dim, generator=generator),
            actions=torch.rand(*lead, dim, generator=generator) * 2 - 1,
            rewards=-torch.rand(lead, generator=generator),
            masks=torch.ones(lead),
            valid=torch.ones(lead),
            next_observations=torch.randn(*lead, size.observation_dim, generator=generator),
        )
        self.batch = Batch(*(field.to(device) for field in batch))

    def noise(self, updates: int) -> dict[str, torch.Tensor]:
        """name -> (updates, P, ...)."""
        assert self.algorithm.noise is not None
        return self.algorithm.noise.sample(updates)

    def example(self) -> tuple[Batch, Noise]:
        """One update's batch and noise."""
        return self.batch.update(0), {name: draw[0] for name, draw in self.noise(1).items()}

    def run(self, updates: int) -> dict[str, torch.Tensor]:
        """Make the updates, a stack at a time, and return the last one's metrics: what `training_step` does."""
        metrics: dict[str, torch.Tensor] = {}
        for done in range(0, updates, self.stack):
            count = min(self.stack, updates - done)
            noise = self.noise(count)
            for u in range(count):
                draws = {name: draw[u] for name, draw in noise.items()}
                metrics = self.algorithm.update(self.batch.update(u), draws, diagnose=u == count - 1)
        return metrics

    def flops(self) -> int:
        """Matrix-product operations of one update, counted on an uncaptured one."""
        batch, noise = self.example()
        self.algorithm.capture = False
        try:
            return count_flops(lambda: self.algorithm.update(batch, noise))
        finally:
            self.algorithm.capture = self.capture


def measure(workload: Workload, updates: int | None, repeats: int) -> dict[str, Any]:
    """Time blocks of updates after a warm-up.

    updates  int >= 1   updates in a block; None = as many as take about two seconds, a multiple of the stack if it is
                        larger, and at least four
    repeats  int >= 1   blocks
    ->       figures by name; `ms_per_update` is the median over blocks

    Raises QamError when the losses became infinite or NaN, which would make the figures worthless.
    """
    batch, noise = workload.example()

    def timed(diagnose: bool) -> float:
        return seconds(lambda: workload.algorithm.update(batch, noise, diagnose), workload.device)

    first = timed(diagnose=False), timed(diagnose=True)
    once = [timed(diagnose=False) for _ in range(2)]
    while len(once) < workload.stack and sum(once) < WARM_UP_SECONDS:
        once.append(timed(diagnose=False))
    if updates is None:
        updates = max(FEWEST_UPDATES, round(BLOCK_SECONDS / min(once)))
        updates -= updates % workload.stack if updates > workload.stack else 0
    workload.run(min(updates, workload.stack))
    blocks = [1e3 * seconds(lambda: workload.run(updates), workload.device) / updates for _ in range(repeats)]
    bad = [name for name, value in workload.run(1).items() if not value.isfinite().all()]
    if bad:
        raise QamError(f"{bad[0]} became infinite or NaN on synthetic transitions: lower --updates or --repeats")
    median, members = statistics.median(blocks), workload.algorithm.members
    flops = workload.flops()
    return {
        "updates_per_block": updates,
        "updates_per_stack": min(updates, workload.stack),
        "blocks_ms_per_update": blocks,
        "ms_per_update": median,
        "best_ms_per_update": min(blocks),
        "updates_per_s": 1e3 / median,
        "member_updates_per_s": members * 1e3 / median,
        "gflop_per_update": flops / 1e9,
        "gflop_per_s": flops / median / 1e6,
        "first_update_s": first[0],
        "first_update_with_metrics_s": first[1],
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise QamError(f"{message}: see `qam-bench --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="qam-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algo", nargs="+", default=["qam"], help=f"any of {', '.join(ALGORITHMS)} (default qam)")
    parser.add_argument("--preset", nargs="+", default=list(PRESETS), help=f"any of {', '.join(PRESETS)} (default all)")
    sizes = parser.add_argument_group("sizes, in place of the preset's")
    for name in Size._fields:
        shape = {"nargs": "+", "metavar": "WIDTH"} if name == "hidden" else {"metavar": "N"}
        sizes.add_argument(f"--{name.replace('_', '-')}", type=int, **shape)  # type: ignore[arg-type]
    parser.add_argument("--population", nargs="+", type=int, default=[1], metavar="P", help="members (default 1)")
    parser.add_argument("--updates", default="auto", metavar="N", help="updates in a block (default auto: two seconds)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="blocks (default 5)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--eager", action="store_true", help="do not capture the update")
    parser.add_argument("--compile", action="store_true", help="compile the update (needs a C++ compiler)")
    parser.add_argument("--parts", action="store_true", help="also time the parts of an uncaptured update (qam only)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures here")
    return parser


def _check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise QamError(f"unknown {what} '{name}': expected one of {', '.join(known)}")


def _check(options: argparse.Namespace) -> None:
    """Raise QamError for whatever cannot be measured, before anything is."""
    _check_names("--algo", options.algo, list(ALGORITHMS))
    _check_names("--preset", options.preset, list(PRESETS))
    _check_names("--device", [options.device], ["cpu", "cuda"])
    if options.device == "cuda" and not torch.cuda.is_available():
        raise QamError("--device cuda needs a GPU that torch can see, and there is none: use --device cpu")
    for name in (*Size._fields, "population", "repeats", "threads"):
        value = getattr(options, name)
        values = value if isinstance(value, list) else [1 if value is None else value]
        require(f"--{name.replace('_', '-')}", all(v >= 1 for v in values), value, "integers >= 1")
    if options.updates != "auto":
        require("--updates", options.updates.isdecimal() and int(options.updates) >= 1, options.updates, "auto or >= 1")
    if options.compile and (options.eager or options.device != "cpu" or shutil.which("g++") is None):
        raise QamError("--compile is for captured updates on a CPU with g++: leave out --eager, or install g++")
    if options.parts and options.algo != ["qam"]:
        raise QamError(f"--parts knows the parts of qam only, got --algo {' '.join(options.algo)}: use --algo qam")
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        raise QamError(f"--json {options.json} cannot be written: give a file in an existing, writable directory")


def _reference(algo: str, preset: str, size: Size, population: int, device: str) -> tuple[float, float] | None:
    """The reference's least and most milliseconds for this very workload, where they are known."""
    known = (algo, population, device) == ("qam", 1, "cpu") and size == PRESETS[preset]
    return REFERENCE_MS[preset] if known else None


def _row(result: dict[str, Any]) -> str:
    """One line under COLUMNS."""
    reference = result.get("reference")
    first = result["first_update_s"] + result["first_update_with_metrics_s"]
    compared = ""
    if reference:
        compared = f"   {reference['ms'][0]:g} to {reference['ms'][1]:g} ms, ours {reference['speedup']:.2f} x as fast"
    changed = "*" * (result["size"] != PRESETS[result["preset"]]._asdict())
    return (
        f"{result['algo']:6} {result['preset'] + changed:12} {result['population']:3} {result['ms_per_update']:10.3f} "
        f"{result['best_ms_per_update']:9.3f} {result['updates_per_s']:10.1f} {result['member_updates_per_s']:10.1f} "
        f"{result['gflop_per_update']:8.3f} {result['gflop_per_s']:8.1f} {result['share_of_peak']:8.1%} {first:8.2f}"
        f"{compared}"
    )


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every combination that was asked for, printing as it goes."""
    device = torch.device(options.device)
    about = machine(device)
    print(", ".join(f"{name} {about[name]}" for name in ("device", "cpu", "cores", "threads", "torch")))
    print(COLUMNS, flush=True)
    overrides = {name: value for name in Size._fields if (value := getattr(options, name)) is not None}
    if "hidden" in overrides:
        overrides["hidden"] = tuple(overrides["hidden"])
    updates = None if options.updates == "auto" else int(options.updates)
    results, peaks = [], [matrix_peak(device)]
    for algo in options.algo:
        for preset in options.preset:
            for population in options.population:
                size = PRESETS[preset]._replace(**overrides)
                arguments = ARGUMENTS.get(preset)
                workload = Workload(
                    algo, size, population, device, not options.eager, arguments=arguments, compiled=options.compile
                )
                result = {
                    "algo": algo,
                    "preset": preset,
                    "size": size._asdict(),
                    "population": population,
                    "captured": not options.eager,
                    "compiled": options.compile,
                    **measure(workload, updates, options.repeats),
                }
                peaks.append(matrix_peak(device))
                around = [peak / 1e9 for peak in peaks[-2:]]
                result["peak_gflop_per_s"] = {"before": around[0], "after": around[1]}
                result["share_of_peak"] = result["gflop_per_s"] / max(around)
                reference = _reference(algo, preset, size, population, options.device)
                if reference:
                    speedup = reference[0] / result["ms_per_update"]
                    result["reference"] = {"label": REFERENCE_LABEL, "ms": reference, "speedup": speedup}
                print(_row(result), flush=True)
                if options.parts:
                    assert type(workload.algorithm) is QAM
                    result["parts"] = measure_parts(workload.algorithm, *workload.example(), options.repeats)
                    for name, part in result["parts"].items():
                        print(f"{'':10}{name:26} {part['ms']:10.3f} ms {part['gflop']:8.3f} GFLOP")
                results.append(result)
    best = max(peaks) / 1e9
    print(f"peak {best:.1f} GFLOP/s, the lowest of {len(peaks)} measurements {min(peaks) / 1e9:.1f}")
    if overrides:
        print("* other sizes than the preset's own")
    return {"machine": about, "results": results}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-bench`; returns 0, or 1 after telling in one sentence what is wrong."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    threads = torch.get_num_threads()
    try:
        options = _parser().parse_args(arguments)
        _check(options)
        torch.set_num_threads(options.threads or threads)
        found = {"command": shlex.join(["qam-bench", *arguments]), **_bench(options)}
        if options.json:
            options.json.write_text(json.dumps(found, indent=2) + "\n")
    except (QamError, OSError) as error:
        print(f"qam-bench: {error}", file=sys.stderr)
        return 1
    except torch.OutOfMemoryError:
        print("qam-bench: the GPU's memory does not hold it: lower --population or --batch-size", file=sys.stderr)
        return 1
    finally:
        torch.set_num_threads(threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
