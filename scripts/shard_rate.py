"""Cost of reading shards in the background: updates per second with a rotation, compared with one resident shard.

    python scripts/shard_rate.py                                              # the paper's networks, ten minutes
    python scripts/shard_rate.py --size medium --turn 1000                  # hidden (128, 128), six minutes
    python scripts/shard_rate.py --size medium --transitions 50000 --turn 60 --pairs 2    # short trial, half a minute

QAM trains in turns of `--turn` updates. Turns on a resident shard alternate with turns on rotating shards, so that
other load on the machine affects both. A rotating turn starts with an exchange and lasts until the next shard is read.
Its additional time is the cost of one exchange, for any length of the turn. The last line prints this cost as a share
of `data.shard_every` = 1000 updates. The shards are random walks in OGBench's format, size and compression, in a
temporary directory.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from qam_torch.bench.workload import PRESETS, Workload
from qam_torch.data.datamodule import TrainingData
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions

EPISODE = 1000
SWAP_EVERY = 1000  # the default of data.shard_every
WIDTHS = {"observations": 46, "actions": 5, "qpos": 35, "qvel": 32}  # of cube-triple


def write_shard(path: Path, transitions: int, seed: int) -> None:
    """Episodes of a thousand steps, each a random walk of every number, written as OGBench writes them."""
    rng = np.random.default_rng(seed)
    episodes = transitions // EPISODE
    arrays = {"terminals": np.tile(np.arange(EPISODE + 1) == EPISODE, episodes)}
    for name, width in WIDTHS.items():
        steps = rng.normal(scale=0.02, size=(episodes, EPISODE + 1, width)).astype(np.float32)
        arrays[name] = np.cumsum(steps, axis=1).clip(-1, 1).reshape(-1, width)
    np.savez_compressed(path, **arrays)


class Loader:
    """Reads a shard as a task's is read: the rewards from qpos first, which is then dropped.

    cpu_seconds, seconds  of every call so far
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cpu_seconds: list[float] = []
        self.seconds: list[float] = []

    def __call__(self, path: Path) -> Transitions:
        cpu, wall = time.thread_time(), time.perf_counter()
        with np.load(path) as file:
            terminals = file["terminals"]
            reached = (np.linalg.norm(file["qpos"][:, 14:17], axis=-1) <= 0.04)[~terminals]
            arrays = {"terminals": terminals, "observations": file["observations"], "actions": file["actions"]}
        masks = 1 - reached.astype(np.float32)
        data = Transitions.from_ogbench(arrays, -masks, masks, self.device)
        self.cpu_seconds.append(time.thread_time() - cpu)
        self.seconds.append(time.perf_counter() - wall)
        return data


def turn(workload: Workload, data: TrainingData, updates: int) -> float:
    """Seconds of a number of updates, and of what they leave going on in the background."""
    begin = time.perf_counter()
    for done in range(0, updates, workload.stack):
        workload.batch = data.draw(min(workload.stack, updates - done))
        workload.run(len(workload.batch.rewards))
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    if workload.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def main() -> None:
    """Write the shards, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--transitions", type=int, default=1_000_000, metavar="N", help="transitions per shard (default 1000000)"
    )
    parser.add_argument("--shards", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--size", choices=list(PRESETS), default="paper", help="sizes of `qam-bench` (default paper)")
    parser.add_argument("--turn", type=int, default=100, metavar="N", help="updates per turn (default 100)")
    parser.add_argument("--pairs", type=int, default=6, metavar="N", help="pairs of turns (default 6)")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--directory", type=Path, metavar="PATH", help="for the shards (default a temporary one)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        files = [Path(directory, f"shard-{number:03d}.npz") for number in range(options.shards)]
        for number, file in enumerate(files):
            write_shard(file, options.transitions, seed=number)
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"{len(files)} shards of {options.transitions:,} transitions, {size:,.0f} MB in all", flush=True)
        measure(options, files)


def measure(options: argparse.Namespace, files: list[Path]) -> None:
    """Alternate the two kinds of turns; a table, and the medians."""
    device = torch.device(options.device)
    load = Loader(device)
    sizes = PRESETS[options.size]
    make = functools.partial(
        TrainingData,
        horizon_length=sizes.horizon_length,
        discount=0.99,
        batch_size=sizes.batch_size,
        seeds=(0,),
        plan=lambda done: 1,
        num_steps=1,
    )
    resident = make(transitions=load(files[0]))
    rotating = make(transitions=Shards(files, load, options.turn))
    workload = Workload("qam", sizes, device=device)
    turn(workload, resident, 2 * workload.stack)  # records the graph
    print(f"{torch.get_num_threads()} threads, {device}; {options.turn} updates per turn")
    print(f"{'pair':>6} {'resident':>10} {'rotating':>10} {'rate':>8} {'reading':>9} {'CPU':>9}")
    print(f"{'':6} {'ms/update':>10} {'ms/update':>10} {'':8} {'s':>9} {'s':>9}", flush=True)
    rows = []
    for pair in range(options.pairs):
        # Which is first alternates too.
        order = (resident, rotating) if pair % 2 == 0 else (rotating, resident)
        taken = {data: 1e3 * turn(workload, data, options.turn) / options.turn for data in order}
        row = (
            taken[resident],
            taken[rotating],
            taken[resident] / taken[rotating],
            load.seconds[-1],
            load.cpu_seconds[-1],
        )
        rows.append(row)
        print(f"{pair:6} {row[0]:10.2f} {row[1]:10.2f} {row[2]:8.1%} {row[3]:9.2f} {row[4]:9.2f}", flush=True)
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"median {medians[0]:10.2f} {medians[1]:10.2f} {medians[2]:8.1%} {medians[3]:9.2f} {medians[4]:9.2f}")
    cost = statistics.median(options.turn * (rotating - resident) for resident, rotating, *_ in rows) / 1e3
    print(f"an exchange costs {cost:.2f} s: {cost / medians[0]:.1%} of {SWAP_EVERY} updates")


if __name__ == "__main__":
    main()
