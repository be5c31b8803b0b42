"""What `qam-sweep` says before any run is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qam_torch.data.catalog import catalog_entry
from qam_torch.sweep.bench_times import Bench, Estimate, estimate
from qam_torch.sweep.paper_cost import CHECKPOINTS, Needs, file_bytes, needs_of, world
from qam_torch.sweep.paper_plan import SEEDS, Plan
from qam_torch.system.console import readable_size

__all__ = ["tell"]

Rows = Iterator[tuple[str, str]]


class _Kind(NamedTuple):
    """The runs of a method on a domain, one a task, and what one of them takes."""

    method: str
    domain: str
    dataset: str
    needs: Needs
    time: Estimate | None


def tell(plan: Plan, bench: Bench | None) -> None:
    """How many runs there are, and what they take: hours, disk, memory. What is not known is said to be so."""
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
    for name, value in rows:
        print(f"  {name:11} {value}")


def _kinds(plan: Plan, bench: Bench | None) -> Iterator[_Kind]:
    for method, domain, config in plan.configs():
        needs, sizes = needs_of(config), world(config.env.dataset).sizes
        time = None if bench is None else estimate(config, bench, sizes, needs.updates)
        yield _Kind(method, domain, config.env.dataset, needs, time)


def _hours(plan: Plan, kinds: Sequence[_Kind], bench: Bench | None) -> Rows:
    unit = "GPU hours" if bench is None else bench.unit
    timed = [kind for kind in kinds if kind.time is not None]
    unknown = list(dict.fromkeys(kind.method for kind in kinds if kind.time is None))
    if bench is not None and timed:
        total = len(plan.tasks) * sum(kind.time.hours for kind in timed if kind.time is not None)
        yield unit, f"{total:,.0f} by measurements on {bench.device}, for updates alone: evaluation, environment"
        yield "", "steps and reading data come on top"
        for told in dict.fromkeys(kind.time.told for kind in timed if kind.time is not None and kind.time.told):
            domains = dict.fromkeys(kind.domain for kind in timed if kind.time is not None and kind.time.told == told)
            yield "", f"{told}, for {', '.join(domains)}"
    if unknown:
        yield (
            "" if timed else unit,
            f"not known for {', '.join(unknown)}; measure where they are to run, and give --bench:",
        )
        size = f"--size paper --population {len(SEEDS)}"
        yield "", f"  qam-bench --algo {' '.join(unknown)} {size} --device cuda --json bench.json"


def _disk(plan: Plan, kinds: Sequence[_Kind]) -> Rows:
    tasks, names = len(plan.tasks), dict.fromkeys(kind.dataset for kind in kinds)
    checkpoints = tasks * sum(CHECKPOINTS * kind.needs.checkpoint for kind in kinds)
    replay = tasks * sum(kind.needs.replay for kind in kinds)
    files = sum(len(catalog_entry(name).files) for name in names)
    yield "disk", f"{readable_size(checkpoints)} of checkpoints, {CHECKPOINTS} a run"
    if replay:
        yield "", f"{readable_size(replay)} of what is collected online, a replay.bin a run"
    size = readable_size(sum(map(file_bytes, names)))
    yield "", f"{size} at most of data sets, {files:,} files: what is in them, uncompressed"


def _memory(kinds: Sequence[_Kind]) -> Rows:
    least, most = (readable_size(pick(kind.needs.device for kind in kinds)) for pick in (min, max))
    span = least if least == most else f"{least} to {most}"
    yield "GPU memory", f"{span} a run for networks, optimiser, data and replay buffer; what an update needs besides"
    yield "", "is not known"
