"""What light commands import, how long they take, and the most memory that the quickstart takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tests.frozen.frozen_memory import Memory, peak_while
from tests.frozen.frozen_workplace import Workplace, environment, script

COMMANDS = {
    "qam-data list": ["qam-data", "list", "--directory", "HERE"],
    "qam-data --help": ["qam-data", "--help"],
    "qam-report --help": ["qam-report", "--help"],
    "qam-train --help": ["qam-train", "--help"],
}
"""Commands that start at once, whose time is frozen."""

IMPORTED = {
    **COMMANDS,
    "qam-train algo=qan": ["qam-train", "algo=qan"],
    "qam-report": ["qam-report", "HERE/tree", "--out", "HERE/out"],
    "qam-data generate --help": ["qam-data", "generate", "--help"],
    "qam-reproduce --help": ["qam-reproduce", "--help"],
    "qam-eval --help": ["qam-eval", "--help"],
    "qam-eval --episodes=0": ["qam-eval", "last.ckpt", "--episodes=0"],
    "qam-export --help": ["qam-export", "--help"],
    "qam-verify --help": ["qam-verify", "--help"],
    "qam-bench --help": ["qam-bench", "--help"],
    "qam-bench --algo qan": ["qam-bench", "--algo", "qan"],
}
"""Commands whose heavy modules are frozen."""

SHORT = ("offline_steps=100", "eval_every=100", "checkpoint_every=100", "log_every=50", "compare_behavior=false")
QUICKSTARTS = {
    "quickstart": (),
    "short quickstart": ("experiment=quickstart", *SHORT),
    "short quickstart, compiled with an empty cache": ("experiment=quickstart", *SHORT, "compile=true"),
}
"""Overrides of runs whose peak of memory is recorded; only the second is short and depends on no compiler's cache."""


def imported(place: Workplace, name: str) -> list[str]:
    """The heavy modules that a command has loaded when it ends."""
    from tests.frozen.frozen_made_runs import copied_tree

    here = place.folder(f"imported {name}")
    words = [word.replace("HERE", str(here)) for word in IMPORTED[name]]
    if "HERE/tree" in IMPORTED[name]:
        copied_tree(here / "tree")
    launcher, report = Path(__file__).with_name("frozen_imports.py"), here / "modules.json"
    subprocess.run(
        [sys.executable, str(launcher), str(report), script(words[0]), *words[1:]],
        capture_output=True, cwd=here, env=environment(), timeout=120,
    )  # fmt: skip
    return json.loads(report.read_text())


def seconds_of(place: Workplace, name: str, repeats: int) -> float:
    """Median seconds of processor time that a command takes, which a busy machine hardly changes."""
    here = place.folder(f"timed {name}")
    words = [word.replace("HERE", str(here)) for word in COMMANDS[name]]
    found = []
    for _ in range(repeats):
        before = _seconds_of_children()
        subprocess.run([script(words[0]), *words[1:]], capture_output=True, cwd=here, env=environment(), check=True)
        found.append(_seconds_of_children() - before)
    return statistics.median(found)


def _seconds_of_children() -> float:
    """Processor time of all ended child processes."""
    times = os.times()
    return times.children_user + times.children_system


def peak_of(place: Workplace, name: str) -> Memory:
    """The most memory that a run takes, all its processes together."""
    here = place.folder(f"memory {name}")
    words = [*QUICKSTARTS[name], f"data.directory={here}/data", f"run_dir={here}/run", "eval_workers=2"]
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(here / "cache")} if "empty cache" in name else {}
    command = [script("qam-train"), *words]
    with subprocess.Popen(
        command, cwd=here, env=environment(**cache), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        peak = peak_while(process)
        assert process.stderr is not None and process.returncode == 0, process.stderr.read()
    return peak
