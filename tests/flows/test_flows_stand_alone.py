"""The mathematics can be imported without reinforcement learning and without a trainer."""

from __future__ import annotations

import subprocess
import sys

import pytest

OTHERS = ("lightning", "gymnasium", "ogbench", "hydra", "omegaconf", "tensorboard", "mujoco", "matplotlib")


def test_importing_the_flows_loads_neither_rl_nor_lightning() -> None:
    code = f"import sys, qam_torch.flows; print([name for name in {OTHERS!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_flows_work_where_the_others_cannot_be_imported() -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({OTHERS!r}))\n"
        "import torch\n"
        "from qam_torch.flows import sample_flow\n"
        "print(float(sample_flow(lambda x, t: torch.ones_like(x), torch.zeros(1, 1), 4)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 1.0
