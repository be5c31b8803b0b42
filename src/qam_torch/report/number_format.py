"""Format the numbers of a report as text."""

from __future__ import annotations

import math

from qam_torch.paper import Figure
from qam_torch.report.results import Result, Step
from qam_torch.stats.bootstrap import Estimate

__all__ = ["format_count", "format_estimate", "format_published", "format_seeds", "format_difference", "format_step"]


def format_count(number: float) -> str:
    """Abbreviate a round number, e.g. "50k" or "1M". Other numbers get commas, e.g. "12,345"."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit and number % (unit / 100) == 0:
            return f"{number / unit:g}{name}"
    return f"{number:,.0f}"


def format_step(step: Step) -> str:
    """Format a step, e.g. "1M updates" or "1M updates + 50k steps"."""
    offline = f"{format_count(step[0])} updates" if step[0] or not step[1] else ""
    online = f"{format_count(step[1])} steps" if step[1] else ""
    return " + ".join(filter(None, [offline, online]))


def format_estimate(estimate: Estimate, digits: int = 2) -> str:
    """Format an estimate with its interval, e.g. "0.64 [0.60, 0.68]", or only its value if it has no interval."""
    text = f"{estimate.value:.{digits}f}"
    return f"{text} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]" if estimate.bounded else text


def format_published(result: Result) -> str:
    """Format the published result, with its step if that differs from the result's step.

    A result that third parties transcribed is marked "(transcribed)".
    """
    figure, curve = result.published, result.group.curve
    if figure is None or curve is None:
        return "–"
    text = format_estimate(Estimate(*figure[2:])) + " (transcribed)" * bool(curve.doubts)
    return text if result.same_step else f"{text} at {format_step(figure[:2])}"


def format_published_end(figure: Figure) -> str:
    """Format the last published result, e.g. "0.64 after 1M updates"."""
    return f"{figure.success:.2f} after {format_step(figure[:2])}"


def format_difference(number: float | None, digits: int = 2) -> str:
    """Format a difference with its sign, e.g. "+0.03". The minus sign is the typographic one."""
    if number is None or math.isnan(number):
        return "–"
    text = f"{number:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def format_seeds(result: Result) -> str:
    """Format the number of seeds, e.g. "12", or "8–12" if it differs between tasks.

    If not all runs reached the step, the text includes the number of runs that did.
    """
    fewest, most = result.seeds
    seeds = str(most) if fewest == most else f"{fewest}–{most}"
    came, all_runs = result.runs
    return seeds if came == all_runs else f"{seeds} ({came} of {all_runs} runs)"
