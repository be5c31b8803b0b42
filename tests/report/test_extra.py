"""What only the report needs is an extra, which training and measuring do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.made_up_runs import make_run

IMPORTED = "import sys; from importlib import import_module as load; [load(name) for name in sys.argv[1:]]; "


@pytest.mark.slow
@pytest.mark.parametrize(
    "modules",
    [
        ["qam_torch"],
        ["qam_torch.cli.train", "qam_torch.training.fit", "qam_torch.inference.policy"],
        ["qam_torch.cli.bench", "qam_torch.bench.measure", "qam_torch.bench.table", "qam_torch.bench.parts"],
    ],
    ids=["qam_torch", "qam-train", "qam-bench"],
)
def test_training_and_measuring_import_neither_pandas_nor_jinja2(modules: list[str]) -> None:
    code = IMPORTED + "print({'pandas', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("missing", ["pandas", "jinja2"])
def test_without_the_extra_a_sentence_names_it(tmp_path: Path, missing: str) -> None:
    make_run(tmp_path)
    code = f"import sys; sys.modules['{missing}'] = None; from qam_torch.cli.report import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    packages = "'jinja2>=3.1' 'pandas>=2.2' 'pyarrow>=15'"
    assert done.stderr == f"qam-report: the report requires {missing}: pip install {packages}\n"
