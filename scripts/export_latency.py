"""Latency of action selection: `load_policy`, and the programs that `qam-export` writes.

    python scripts/export_latency.py RUN [--member M] [--rounds 200]

`recorded` is the recorded action selection with which online runs collect; it selects for a fixed number of
observations. The kinds alternate, so that other load on the machine affects all of them. The measured time includes the
noise: the programs receive it from numpy, the others draw it. Use OMP_NUM_THREADS=1 for one thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import CollectingActor
from qam_torch.export.metadata import KEY

BATCHES = (1, 64)
WARM_UP = 10

Act = Callable[[np.ndarray], Any]


def drawn(about: dict[str, Any], rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The noise of a call; uniform noise takes the same time."""
    shapes = {name: (rows, *one["shape"][1:]) for name, one in about["noise"].items()}
    return {name: random.standard_normal(shape, dtype=about["dtype"]) for name, shape in shapes.items()}


def onnx_policy(path: Path, threads: int) -> Act:
    """The ONNX model on ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    random = np.random.default_rng(0)

    def act(states: np.ndarray) -> np.ndarray:
        observations = states.astype(about["dtype"])
        return session.run(None, {"observations": observations, **drawn(about, len(states), random)})[0]

    return act


def pt2_policy(path: Path) -> Act:
    """The program of torch.export."""
    files = {f"{KEY}.json": ""}
    program = torch.export.load(path, extra_files=files).module()
    about, random = json.loads(files[f"{KEY}.json"]), np.random.default_rng(0)

    @torch.no_grad()
    def act(states: np.ndarray) -> np.ndarray:
        noise = drawn(about, len(states), random).values()
        return program(*map(torch.from_numpy, (states.astype(about["dtype"]), *noise))).numpy()

    return act


def recorded_policy(algorithm: Algorithm, rows: int) -> Act:
    """The recorded action selection of online runs."""
    actor, active = CollectingActor(algorithm, rows), np.ones(1, bool)
    return lambda states: actor(states[None], active)


def median_milliseconds(policies: dict[str, Act], states: np.ndarray, rounds: int) -> dict[str, float]:
    """Median of each policy's calls, in alternation, after a few to warm up."""
    times: dict[str, list[float]] = {name: [] for name in policies}
    for call in range(rounds + WARM_UP):
        for name, act in policies.items():
            start = time.perf_counter()
            act(states)
            if call >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="a run's directory, or a .ckpt file of it")
    parser.add_argument("--member", metavar="M", help="which member of a population")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="calls of each kind (default 200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {
            format: qam_torch.export_policy(options.run, format, Path(folder) / f"policy.{format}", options.member)
            for format in ("pt2", "onnx")
        }
        policy = qam_torch.load_policy(options.run, options.member)
        programs: dict[str, Act] = {
            "pt2": pt2_policy(files["pt2"]),
            "onnx": onnx_policy(files["onnx"], torch.get_num_threads()),
        }
        print(f"ms per call, median of {options.rounds}, {torch.get_num_threads()} thread(s)\n")
        kinds = ("load_policy", "recorded", *programs)
        print(f"| observations | {' | '.join(kinds)} |\n| --- |{' --- |' * len(kinds)}")
        for rows in BATCHES:
            states = np.random.default_rng(0).normal(size=(rows, policy.observation_dim))
            acts: list[Act] = [policy, recorded_policy(policy.algorithm, rows), *programs.values()]
            found = median_milliseconds(dict(zip(kinds, acts, strict=True)), states, options.rounds)
            print(f"| {rows} | {' | '.join(f'{value:.3f}' for value in found.values())} |")


if __name__ == "__main__":
    main()
