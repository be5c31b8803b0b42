"""Memory of a process and everything it has started: proportional set sizes, sampled while it runs.

The proportional set size (PSS) of a process counts a page that n processes share as 1/n of a page, so that the sum over
a tree of processes counts it once. `python frozen_memory.py COMMAND...` runs a command and prints its peak.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

INTERVAL_SECONDS = 0.05
MEGABYTE = 1e6


class Memory(NamedTuple):
    """Bytes of a tree of processes.

    Attributes:
        pss: Sum of proportional set sizes.
        anonymous: The part of it that is no file's, which other programs with the same libraries do not change.
        processes: How many processes there were.
    """

    pss: int
    anonymous: int
    processes: int


def descendants(pid: int) -> list[int]:
    """A process and all that it has started, directly or not, as far as they are there."""
    found, pending = [], [pid]
    while pending:
        one = pending.pop()
        found.append(one)
        try:
            threads = list(Path(f"/proc/{one}/task").iterdir())
        except OSError:
            continue
        for thread in threads:
            try:
                pending += map(int, (thread / "children").read_text().split())
            except OSError:
                continue
    return found


def tree_pss(pid: int) -> Memory:
    """The memory of a process and its descendants now; what has ended meanwhile counts nothing."""
    totals, processes = {"Pss": 0, "Pss_Anon": 0}, 0
    for one in descendants(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        processes += 1
        for line in lines:
            name, _, rest = line.partition(":")
            if name in totals:
                totals[name] += 1024 * int(rest.split()[0])
    return Memory(totals["Pss"], totals["Pss_Anon"], processes)


def peak_while(process: subprocess.Popen, seen: Callable[[float, Memory], None] = lambda *_: None) -> Memory:
    """The largest values of each kind until a process ends.

    Args:
        process: A process that runs.
        seen: Called with the seconds so far and every sample.

    Returns:
        The largest sum of each kind; they need not have been there at the same time.
    """
    started, peak = time.monotonic(), Memory(0, 0, 0)
    while process.poll() is None:
        now = tree_pss(process.pid)
        seen(time.monotonic() - started, now)
        peak = Memory(*map(max, peak, now))
        time.sleep(INTERVAL_SECONDS)
    return peak


if __name__ == "__main__":
    running = subprocess.Popen(sys.argv[1:])
    largest = peak_while(running)
    print(
        f"peak {largest.pss / MEGABYTE:.0f} MB, {largest.anonymous / MEGABYTE:.0f} MB of it no file's, "
        f"{largest.processes} processes",
        file=sys.stderr,
    )
    sys.exit(running.returncode)
