"""What the tests of whole runs share: a configuration that takes a second or two, and what a mistake may print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import ogbench  # noqa: F401 (registers its environments)
from hydra.utils import get_class
from omegaconf import OmegaConf

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import annotations_of
from qam_torch.config.composition import config_directory
from qam_torch.training.fit import RunResult

ROOT = Path(__file__).resolve().parents[2]
TRANSITIONS = 2000
TINY = (
    "experiment=default",
    "algo.actor_hidden_dims=[16,16]",
    "algo.value_hidden_dims=[16,16]",
    "algo.num_qs=2",
    "algo.flow_steps=3",
    "algo.horizon_length=2",
    "batch_size=8",
    "offline_steps=40",
    "updates_per_step=7",
    "eval_every=20",
    "log_every=10",
    "checkpoint_every=10",
    "eval_episodes=2",
    "eval_workers=0",
    f"data.generate_transitions={TRANSITIONS}",
    "compile=false",
    "trainer=cpu",
)

SEVERAL_STEPS = ("flow_steps", "diffusion_steps")

Fit = Callable[..., RunResult]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def tiny_of(algo: str) -> tuple[str, ...]:
    """TINY for a method, which takes three steps from noise to action, if it takes several at all."""
    path = config_directory() / "algo" / f"{algo}.yaml"
    if not path.exists():  # a mistake that must be reported
        return TINY
    kind = get_class(OmegaConf.load(path)._target_)
    steps = [f"algo.{name}=3" for name in SEVERAL_STEPS if name in annotations_of(kind)]
    return (*(word for word in TINY if not word.startswith("algo.flow_steps")), *steps)


def shorten_episodes(set_attribute: Callable[[Any, str, int], None] = setattr) -> None:
    """End the episodes of medium point mazes after 30 steps, since a tiny run would spend its time evaluating."""
    for name, spec in gymnasium.registry.items():
        if name.startswith("pointmaze-medium"):
            set_attribute(spec, "max_episode_steps", min(30, spec.max_episode_steps or 30))


recorded = Algorithm.update


def unrecorded(algorithm: Algorithm, *arguments: Any, **options: Any) -> Any:
    """The update without its recording, which costs seconds and pays only in longer runs; the numbers are the same."""
    algorithm.recorded = False
    return recorded(algorithm, *arguments, **options)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def one_sentence(text: str, program: str = "qam-train") -> str:
    """The one line of standard error that a mistake leaves."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    assert lines[0].startswith(f"{program}: ")
    assert "Traceback" not in text
    return lines[0]
