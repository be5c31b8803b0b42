"""The step axis covers the run, and shows where the online phase begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qam_torch.plotting.evaluation_curves import return_figure, success_figure
from qam_torch.plotting.step_axis import step_of_update
from qam_torch.plotting.training_curves import losses_figure
from tests.helpers.metric_rows import both_phases, labeled, panels_of


def test_a_divergence_before_the_first_online_update_stands_in_the_offline_phase() -> None:
    """Rows that made no update repeat the last one."""
    metrics = {"update": np.array([10.0, 20, 20, 20, 30]), "step": np.array([10.0, 20, 25, 30, 40])}
    metrics |= {"phase": np.array([0.0, 0, 1, 1, 1]), "critic/loss": np.ones(5)}
    assert [step_of_update(metrics, update) for update in (5, 15, 20, 25)] == pytest.approx([5, 15, 20, 35])


BOTH = "updates offline (shaded), then environment steps online"


@pytest.mark.parametrize(
    ("offline", "trained", "online", "points", "label", "shaded"),
    [
        ([10, 20], True, [], [10, 20], "updates", None),
        ([10, 20], True, [30, 50], [10, 20, 30, 50], BOTH, (0, 20)),
        ([20], True, [30, 50], [20, 30, 50], BOTH, (0, 20)),  # logged once while offline
        ([20], False, [30, 50], [0, 10, 30], "environment steps online", None),  # from a checkpoint
        ([0], False, [30, 50], [0, 30, 50], "environment steps online", None),  # online only
    ],
)
def test_the_phase_change_is_shown(
    offline: list[int], trained: bool, online: list[int], points: list[int], label: str,
    shaded: tuple[float, float] | None, tmp_path: Path,
) -> None:  # fmt: skip
    metrics = both_phases(offline, online, tmp_path, trained)
    for figure in (success_figure(metrics, 4), return_figure(metrics, 4), losses_figure(metrics)):
        assert figure is not None
        for axes in panels_of(figure):
            assert axes.get_xlim() == (0, points[-1])
            ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
            assert ends == ([shaded] if shaded else [])
        assert label == (figure.get_supxlabel() or panels_of(figure)[0].get_xlabel())
    success = success_figure(metrics, 4)
    assert success is not None and labeled(success)["policy"].get_xdata().tolist() == points
