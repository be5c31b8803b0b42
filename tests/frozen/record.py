"""`python tests/frozen/record.py [PART...]`: record what the frozen tests expect into expected/.

Run it with the interpreter of the environment whose behavior is to be frozen, on a machine that does nothing else:
`imports` and `memory` are measurements. Without words all parts are recorded.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

from tests.frozen.frozen_made_runs import TREE, make_runs
from tests.frozen.frozen_measured import COMMANDS, IMPORTED, QUICKSTARTS, imported, peak_of, seconds_of
from tests.frozen.frozen_scenarios import EXPECTED, SCENARIOS, observed
from tests.frozen.frozen_shapes import FILES, REPORT_FILES, names, output_of_fit, parity, public_api
from tests.frozen.frozen_workplace import Workplace

REPEATS = 5


def write(name: str, content: Any) -> None:
    """Write a fixture as JSON."""
    (EXPECTED / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(f"{name}.json", flush=True)


def machine() -> str:
    """What measurements were made on."""
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = found[0].partition(":")[2].strip() if found else platform.machine()
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def record_names(place: Workplace) -> None:
    write("names", names())
    write("public_api", public_api())


def record_case(place: Workplace) -> None:
    """The start of the reference's recorded case of the sampler, which is a case by itself."""
    rows, windows = 24, 20
    with np.load(Path(__file__).parents[1] / "golden" / "sampler.npz") as file:
        case = {
            name: file[name][: rows if name.startswith("data/") else windows].tolist()
            for name in file.files
            if name != "case_json"
        }
        (EXPECTED / "sampler_case.json").write_text(json.dumps({"case_json": str(file["case_json"]), **case}) + "\n")


def record_files(place: Workplace) -> None:
    write("files", {name: observe(place) for name, observe in FILES.items()})
    write("output_of_a_run", output_of_fit(place))


def record_commands(place: Workplace) -> None:
    write("commands", {name: observed(name, place) for name in SCENARIOS})


def record_report(place: Workplace) -> None:
    import qam_torch

    make_runs(TREE, qam_torch.compose)
    for name, kept in REPORT_FILES.items():
        shutil.copy(place.reported() / name, EXPECTED / kept)


def record_parity(place: Workplace) -> None:
    """Of experiment=parity; where there is none yet, of the quickstart that it is a copy of."""
    import qam_torch

    try:
        write("parity", parity("parity"))
    except qam_torch.QamError:
        write("parity", parity("quickstart"))


def record_imports(place: Workplace) -> None:
    modules = {name: imported(place, name) for name in IMPORTED}
    seconds = {name: round(seconds_of(place, name, REPEATS), 3) for name in COMMANDS}
    write("imports", {"machine": machine(), "modules": modules, "seconds": seconds})


def record_memory(place: Workplace) -> None:
    """The quickstart uses the compiler's cache as it finds it: run it once before.

    Pages of libraries that other processes on the machine have loaded too count only in part.
    """
    found = {}
    for name in QUICKSTARTS:
        peak = peak_of(place, name)
        found[name] = {"pss": peak.pss, "anonymous": peak.anonymous, "processes": peak.processes}
        print(name, found[name], flush=True)
    write("memory", {"machine": machine(), "peak": found})


PARTS = {
    "names": record_names,
    "case": record_case,
    "report": record_report,
    "files": record_files,
    "commands": record_commands,
    "parity": record_parity,
    "imports": record_imports,
    "memory": record_memory,
}

if __name__ == "__main__":
    EXPECTED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="frozen-") as directory:
        for part in sys.argv[1:] or PARTS:
            PARTS[part](Workplace(Path(directory)))
            for left in Path(directory).iterdir():
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
