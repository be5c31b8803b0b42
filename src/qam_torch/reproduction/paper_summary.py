"""Summarize what the paper's runs need, as lines that `qam-reproduce` prints before any run starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qam_torch.data.catalog import catalog_entry
from qam_torch.reproduction.bench_times import Bench, Estimate, estimate
from qam_torch.reproduction.paper_cost import CHECKPOINTS, Cost, cost_of, environment_sizes, file_bytes
from qam_torch.reproduction.paper_plan import SEEDS, Plan
from qam_torch.system.console import readable_size

__all__ = ["summary_lines"]

Rows = Iterator[tuple[str, str]]


class _Kind(NamedTuple):
    """The runs of a method on a domain, one per task.

    Attributes:
        method: name of the method.
        domain: name of the domain.
        dataset: name of the dataset.
        cost: what one of the runs needs.
        time: estimated time of one of the runs, or None if it is unknown.
    """

    method: str
    domain: str
    dataset: str
    cost: Cost
    time: Estimate | None


def summary_lines(plan: Plan, bench: Bench | None) -> list[str]:
    """Describe the number of runs, and the hours, disk space and memory that they need.

    Args:
        plan: the planned runs.
        bench: measurements to estimate the hours; None leaves the hours unknown.

    Returns:
        One line per fact. What cannot be estimated is listed as unknown.
    """
    kinds = list(_kinds(plan, bench))
    products = f"{len(plan.methods)} x {len(plan.domains)} x {len(plan.tasks)}"
    rows = [
        ("methods", ", ".join(plan.methods)),
        ("domains", ", ".join(plan.domains)),
        ("tasks", ", ".join(plan.tasks)),
        ("runs", f"{products} = {plan.runs:,}, each of {len(SEEDS)} seeds: {plan.runs * len(SEEDS):,} of the paper's"),
        *_hours(plan, kinds, bench),
        *_disk(plan, kinds),
        *_memory(kinds),
    ]
    return [f"  {name:11} {value}" for name, value in rows]


def _kinds(plan: Plan, bench: Bench | None) -> Iterator[_Kind]:
    for method, domain, settings in plan.settings():
        dataset = settings.request.env["dataset"]
        cost, sizes = cost_of(settings), environment_sizes(dataset)
        time = None
        if bench is not None:
            time = estimate(settings, bench, (sizes.observation_dim, sizes.action_dim), cost.updates)
        yield _Kind(method, domain, dataset, cost, time)


def _hours(plan: Plan, kinds: Sequence[_Kind], bench: Bench | None) -> Rows:
    unit = "GPU hours" if bench is None else bench.unit
    unknown = list(dict.fromkeys(kind.method for kind in kinds if kind.time is None))
    timed = [(kind.domain, kind.time) for kind in kinds if kind.time is not None]
    if bench is not None and timed:
        total = len(plan.tasks) * sum(time.hours for _, time in timed)
        yield unit, f"{total:,.0f} by measurements on {bench.device}, for updates alone: evaluation, environment"
        yield "", "steps and data loading are not included"
        for note in dict.fromkeys(time.note for _, time in timed if time.note):
            domains = dict.fromkeys(domain for domain, time in timed if time.note == note)
            yield "", f"{note}, for {', '.join(domains)}"
    if unknown:
        yield (
            "" if timed else unit,
            f"unknown for {', '.join(unknown)}: measure on the machine of the runs, and give --bench:",
        )
        size = f"--size paper --population {len(SEEDS)}"
        yield "", f"  qam-bench --algo {' '.join(unknown)} {size} --device cuda --json bench.json"


def _disk(plan: Plan, kinds: Sequence[_Kind]) -> Rows:
    tasks, names = len(plan.tasks), dict.fromkeys(kind.dataset for kind in kinds)
    checkpoints = tasks * sum(CHECKPOINTS * kind.cost.checkpoint for kind in kinds)
    replay = tasks * sum(kind.cost.replay for kind in kinds)
    files = sum(len(catalog_entry(name).files) for name in names)
    yield "disk", f"{readable_size(checkpoints)} of checkpoints, {CHECKPOINTS} per run"
    if replay:
        yield "", f"{readable_size(replay)} of collected transitions, one replay.bin per run"
    size = readable_size(sum(map(file_bytes, names)))
    yield "", f"{size} at most of datasets, {files:,} files: uncompressed contents"


def _memory(kinds: Sequence[_Kind]) -> Rows:
    least, most = (readable_size(pick(kind.cost.device for kind in kinds)) for pick in (min, max))
    span = least if least == most else f"{least} to {most}"
    yield "GPU memory", f"{span} per run for networks, optimizer and dataset; the replay buffer and what an update"
    yield "", "needs are not included"
