"""Time of an update on an idle machine, and beside a process that keeps one CPU core busy.

python scripts/contention.py [SIZE ...] [--threads N ...] [--spin COUNT ...]

By default, the update uses the same number of threads and the same bound on spinning as `qam-train`. With --threads and
--spin, every combination is measured. No other process may use the machine during the measurement.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from qam_torch.bench.sizes import PRESETS
from qam_torch.system.before_torch import prepare_environment

AS_IN_TRAINING = "as in qam-train"


def main() -> None:
    """Print one row for each combination."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=f"of {', '.join(PRESETS)} (default small and paper)")
    parser.add_argument("--threads", nargs="+", type=int, default=[0], metavar="N", help="CPU threads")
    parser.add_argument("--spin", nargs="+", default=[AS_IN_TRAINING], metavar="COUNT",
                        help="values of GOMP_SPINCOUNT; 'none' leaves it unset")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="seconds per measurement (default 10)")
    parser.add_argument("--compile", action="store_true", help="compile the update")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.sizes = options.sizes or ["small", "paper"]
    if options.worker:
        answer(options)
        return
    print(f"{'size':10}{'threads':>8}  {'GOMP_SPINCOUNT':16}{'idle':>12}{'beside one busy process':>26}{'ratio':>8}")
    for size in options.sizes:
        for threads in options.threads:
            for spin in options.spin:
                chosen, idle, beside = measure(size, threads, spin, options)
                times = f"{idle:9.2f} ms{beside:23.2f} ms{beside / idle:8.2f}"
                print(f"{size:10}{chosen:>8}  {spin:16}{times}", flush=True)


def measure(size: str, threads: int, spin: str, options: argparse.Namespace) -> tuple[str, float, float]:
    """The threads that were used, and the means of the milliseconds of an update: idle, and beside a process."""
    words = [sys.executable, __file__, size, "--worker", "--threads", str(threads), "--seconds", str(options.seconds)]
    variables = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if spin == AS_IN_TRAINING:
        prepare_environment(variables)
    elif spin != "none":
        variables["GOMP_SPINCOUNT"] = spin
    words += ["--compile"] if options.compile else []
    with subprocess.Popen(
        words, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as worker:
        assert worker.stdin is not None and worker.stdout is not None
        chosen = worker.stdout.readline().strip()
        found = []
        for busy in (False, True):
            with busy_process(busy):
                worker.stdin.write("measure\n")
                found.append(float(worker.stdout.readline()))
        worker.stdin.close()
    return chosen, found[0], found[1]


@contextmanager
def busy_process(wanted: bool) -> Iterator[None]:
    """A process that computes without a pause."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def answer(options: argparse.Namespace) -> None:
    """The worker: print its number of threads, then one time for each line of standard input."""
    import torch

    from qam_torch.bench.workload import Workload
    from qam_torch.inference.threads import computing_threads

    size = PRESETS[options.sizes[0]]
    with computing_threads(options.threads[0] or None, size.hidden, size.batch_size * size.num_qs):
        workload = Workload("qam", size, compiled=options.compile)
        batch, noise = workload.example()
        for _ in range(5):  # the first one records the update
            workload.algorithm.update(batch, noise)
        print(torch.get_num_threads(), flush=True)
        for _ in sys.stdin:
            times, end = [], time.perf_counter() + options.seconds
            while len(times) < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                workload.algorithm.update(batch, noise)
                times.append(1e3 * (time.perf_counter() - start))
            print(statistics.mean(times), flush=True)


if __name__ == "__main__":
    main()
