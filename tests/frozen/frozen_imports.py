"""What a console script has imported at its end: `python frozen_imports.py REPORT SCRIPT WORD...`.

Runs the script in this process, as if it had been called with the words, and writes the heavy modules that are loaded
then, as a JSON list, to the file REPORT.
"""

from __future__ import annotations

import json
import runpy
import sys

HEAVY = (
    "torch", "lightning", "hydra", "omegaconf", "gymnasium", "mujoco", "ogbench", "matplotlib", "scipy", "pandas",
    "numpy", "torchdiffeq", "tensorboard", "yaml", "tqdm",
)  # fmt: skip

if __name__ == "__main__":
    before = [name for name in HEAVY if name in sys.modules]
    report, sys.argv[:] = sys.argv[1], sys.argv[2:]
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    with open(report, "w") as file:
        json.dump([name for name in HEAVY if name in sys.modules and name not in before], file)
    sys.exit(status)
