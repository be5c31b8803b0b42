"""What a run prints before it starts: the first line, and what the data are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qam_torch.config.composition import compose
from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.data.summary import data_summary
from qam_torch.data.windows import ChunkWindows
from qam_torch.training.announcement import announce_plan
from qam_torch.training.settings import read_settings

SIZES = "batches of 7, chunks of 5, 3 critics, hidden layers"
PLANS = {
    ("algo.actor_hidden_dims=[8,8]", "algo.value_hidden_dims=[9,4]", "seed=3"): (
        f"qam on cube-single-play task 2, seed 3; 12,345 updates, {SIZES} 8x2 and 9-4"
    ),
    ("seeds=[1,2]", "population.inv_temp=[1,3]", "online_steps=20", "start_training=9"): (
        f"seed 1, 2 in each of 2 cells of inv_temp; 12,345 updates, then 20 environment steps, {SIZES} 128x2"
    ),
    ("online_steps=20", "start_training=9", "init_from=x.ckpt"): f"seed 0; 20 environment steps, {SIZES} 128x2",
}


@pytest.mark.parametrize(("words", "line"), PLANS.items(), ids=["sizes", "grid", "start"])
def test_the_first_line_has_experiment_sizes_and_updates(
    words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["env=cube-single-play", "task=2", "offline_steps=12345", "batch_size=7", "algo.num_qs=3"]
    announce_plan(read_settings(compose(["experiment=quickstart", *settings, *words])))
    printed = capsys.readouterr().out
    assert printed.startswith("experiment=quickstart: qam on cube-single-play task 2, seed ")
    assert printed.endswith(f"{line}\n") and printed.count("\n") == 1


def windows(actions: np.ndarray, ends: list[int], horizon_length: int) -> ChunkWindows:
    count = len(actions)
    flags = np.isin(np.arange(count), ends)
    states = np.arange(count)[:, None]
    steps = RecordedSteps(states, actions, np.linspace(-2, 0.5, count), flags, np.zeros(count, bool), states + 1)
    high = np.ones(actions.shape[1])
    return ChunkWindows(steps.transitions(-high, high, "data", dtype=torch.float64), horizon_length, 0.9)


def test_data_are_summarized() -> None:
    full = np.stack([np.linspace(-1, 1, 10), np.linspace(-0.5, 0.5, 10)], axis=1)
    (line,) = data_summary(windows(full, [4], 5))
    assert line == "rewards -2 to 0.5; actions use 100%, 50% of the environment's range"
    (line,) = data_summary(windows(np.tile(full, 5), [4], 5))
    assert line.endswith("actions use 50% to 100% of the environment's range")
    first, warning, short = data_summary(windows(full * [1, 0.001], [1, 3], 5))
    assert first.endswith("actions use 100%, 0.05% of the environment's range")
    assert warning.startswith(
        "warning: the actions use less than 10% of the range in dimension 1, but a policy acts in"
    )
    assert short == "2 of 3 episodes are shorter than a chunk of 5 steps and are not used"
