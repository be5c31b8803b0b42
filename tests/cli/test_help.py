"""`qam-train --help`: the table of keys agrees with the configuration, and internal groups are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from qam_torch.config.composition import compose, config_directory
from tests.helpers.runs import Command

HELP = yaml.safe_load((config_directory() / "hydra" / "help" / "qam.yaml").read_text())["template"]


def rows() -> dict[str, tuple[str, str]]:
    """Key -> its default and its value in the quickstart, as the help shows them."""
    _, _, table = HELP.partition("meaning and range\n")
    found = {}
    for line in table.partition("\n\n")[0].splitlines():
        key, default, quickstart = line[2:24].strip(), line[24:34].strip(), line[34:46].strip()
        found[key] = (default, quickstart or default)
    return found


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_are_those_of_the_configuration(column: int) -> None:
    config = compose([["experiment=default"], []][column])
    assert len(rows()) > 20
    for key, shown in rows().items():
        if key != "run_dir":
            value = OmegaConf.select(config, key)
            assert yaml.safe_load(shown[column]) == (value if key != "population" else dict(value)), key


@pytest.mark.slow
def test_it_shows_the_groups_that_a_user_chooses_and_no_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "conf" / "algo").mkdir(parents=True)
    (tmp_path / "conf" / "algo" / "mine.yaml").write_text("defaults: [rebrac, _self_]\n")
    done = command("-m", "qam_torch.train", "--config-dir", str(tmp_path / "conf"), "--help")
    assert done.returncode == 0 and done.stderr == ""
    out = done.stdout
    for shown in ("algo        bam, cgql", "mine, qam, qam_e", "quickstart", "--hydra-help", "docs/configuration.md"):
        assert shown in out
    for hidden in ("algo/base", "env/protocol", "tuned", "hydra/launcher", "${"):
        assert hidden not in out
