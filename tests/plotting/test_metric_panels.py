"""A new method's metrics find their panels by name."""

from __future__ import annotations

from qam_torch.plotting.metric_panels import group_metrics


def test_a_new_methods_metrics_find_their_panels() -> None:
    names = ["collection/return", "dream/u_mean", "dream/u_max", "dream/u_min", "dream/entropy_loss"]
    names += ["dream/rate", "dream/alpha_loss", "dream/alpha", "old_dream/loss"]
    assert [(panel.title, *panel.lines.values(), *(panel.band or ())) for panel in group_metrics(names)] == [
        ("dream u", "mean", "dream/u_min", "dream/u_max"),
        ("dream losses", "entropy", "temperature"),
        ("dream rate", "rate"),
        ("dream temperature", "alpha"),
        ("old dream loss", "loss"),
        ("return of collected episodes", "return"),
    ]
