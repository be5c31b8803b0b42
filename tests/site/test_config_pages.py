"""The pages of the configuration say every key that Hydra composes, with the value that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import Key, Remark, options
from config_pages import closure, group_pages, groups, main_page
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

import qam_torch
import qam_torch.config.composition  # registers the resolvers

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
OPTIONS = options(CONF)
PAGES = {"train": main_page(OPTIONS), **group_pages(OPTIONS)}


def composed(*overrides: str) -> dict[str, Any]:
    """Dotted key -> value, not resolved."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return flat(compose("train", list(overrides)))


def flat(config: DictConfig, prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in (OmegaConf.to_container(config) or {}).items():  # type: ignore[union-attr]
        if isinstance(value, dict) and value:
            found |= flat(OmegaConf.create(value), f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def keys_of(*names: str) -> dict[str, Key]:
    """Full name -> key, of options and all that they begin with; the first has the say."""
    chains = [one for name in names for one in closure(OPTIONS[name], OPTIONS)]
    return {one.full_name(key): key for one in reversed(chains) for key in one.keys}


@pytest.mark.parametrize(
    "algo", [name.partition("/")[2] for name in OPTIONS if name.count("/") == 1 and "algo/" in name]
)
def test_every_key_of_a_method_is_listed_with_its_value(algo: str) -> None:
    keys = keys_of(f"algo/{algo}")
    expected = {
        name: value
        for name, value in composed("experiment=default", f"algo={algo}").items()
        if name.startswith("algo.")
    }
    expected = {name: value for name, value in expected.items() if not name.endswith("._target_")}
    assert {name: yaml.safe_load(key.value) for name, key in keys.items()} == expected
    assert [name for name, key in keys.items() if not key.comment] == []
    assert [name for name in keys if f"| `{name}` |" not in PAGES["algo"]] == []


@pytest.mark.parametrize("option", [name for name in OPTIONS if name.startswith("algo/discretization/")])
def test_every_key_of_an_option_inside_a_group_is_listed_with_its_value(option: str) -> None:
    inside, _, chosen = option.rpartition("/")
    prefix = f"{inside.replace('/', '.')}."
    expected = {
        name: value
        for name, value in composed("algo=qam", f"{inside}={chosen}").items()
        if name.startswith(prefix) and not name.endswith("._target_")
    }
    keys = keys_of(option)
    assert {name: yaml.safe_load(key.value) for name, key in keys.items()} == expected
    assert [name for name in keys if f"| `{name}` |" not in PAGES["algo"]] == []
    assert f"## {inside}={chosen} {{ #{option.replace('/', '-')} }}" in PAGES["algo"]


def test_a_choice_inside_a_group_is_written_as_on_the_command_line_with_its_meaning() -> None:
    (choice,) = OPTIONS["algo/qam"].choices
    assert (choice.name, choice.value) == ("algo/discretization", "shifted")
    assert "Selects `algo/discretization=shifted` (discretization of adjoint matching: " in PAGES["algo"]


def test_every_key_beside_the_groups_is_reported() -> None:
    own = [name for name in composed() if name.split(".")[0] not in ("algo", "env", "trainer", "logger")]
    assert len(own) > 30
    assert [name for name in own if f"| `{name}` |" not in PAGES["train"]] == []


@pytest.mark.parametrize("option", [name for name in OPTIONS if "/" in name and "hydra/help" not in name])
def test_every_option_stands_on_its_groups_page(option: str) -> None:
    group = max((group for group in groups(OPTIONS) if option.startswith(f"{group}/")), key=len)
    short = option.rpartition("/")[2]
    assert f"{{ #{option.replace('/', '-')} }}" in PAGES[group] or f"| `{short}` |" in PAGES[group]


def test_a_search_space_names_keys_as_the_command_line_does_and_is_on_its_own_page_only() -> None:
    row = next(line for line in PAGES["hydra/sweeper/space"].splitlines() if "`algo.inv_temp`" in line)
    assert row == "| `algo.inv_temp` | `tag(log, interval(0.1, 30.0))` | " + row.split(" | ")[2]
    assert "algo.inv_temp` |" not in PAGES["hydra/sweeper"]


def test_an_environments_row_has_the_values_it_is_run_with() -> None:
    config = composed("env=humanoidmaze-giant-navigate-100m")
    keys = ("env.dataset", "env.horizon_length", "env.discount", "env.rho", "env.reward")
    row = " | ".join(f"`{config[key]}`" for key in keys)
    assert f"| `humanoidmaze-giant-navigate-100m` | {row} |" in PAGES["env"]


def test_a_domains_row_has_the_papers_values() -> None:
    config = qam_torch.compose(["experiment=paper", "algo=qam_e", "env=puzzle-4x4-play"])
    section = PAGES["tuned"].split("{ #tuned-paper-qam_e }")[1].split("\n## ")[0]
    assert f"| `puzzle-4x4-play` | `{config.algo.inv_temp}` | `{config.algo.edit_scale}` |" in section


def test_the_site_lists_every_page(tmp_path: Path) -> None:
    def leaves(nav: Any) -> set[str]:
        if isinstance(nav, str):
            return {nav}
        return set().union(*map(leaves, nav.values() if isinstance(nav, dict) else nav))

    listed = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages |= {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert listed == pages | {f"configuration/{group}.md" for group in groups(OPTIONS)} | {
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    }


def test_what_a_file_may_hold(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "base.yaml").write_text("# What both have.\na: 1 # first | second\n")
    (tmp_path / "group" / "one.yaml").write_text(
        "# @package other\n# Words.\n#   a command\n\ndefaults:\n  - base@_here_\n  - override /x: y # why\n\n"
        "# Heading\n\nb: [1, 2] # list\nc: # longer\n  - 1\n  - 2\nd: # nested\n  e: f#g # text\n"
        "# Remark\n# of two lines.\nh: >- # by name\n  ${pick:{\n  p: 1.0\n  }}\n"
    )
    one = options(tmp_path)["group/one"]
    assert (one.package, one.about, one.begins) == ("other", "Words.\n  a command", ["group/base"])
    assert one.choices == [Key("x", "y", {}, "why")]
    assert one.entries == [
        Remark("Heading", heading=True),
        Key("b", "[1, 2]", {}, "list"),
        Key("c", "[1, 2]", {}, "longer"),
        Key("d.e", "f#g", {}, "text"),
        Remark("Remark of two lines.", heading=False),
        Key("h", "${pick:{ p: 1.0 }}", {"p": 1.0}, "by name"),
    ]
    page = group_pages(options(tmp_path))["group"]
    assert "Includes all keys of [base](#group-base)." in page
    assert "| `group.a` | `1` | first \\| second |" in page
    assert "```bash\na command\n```" in page


def test_an_option_that_begins_with_a_plugins_own(tmp_path: Path) -> None:
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "hydra" / "launcher" / "mine.yaml").write_text(
        "# Runs; see docs/launchers/mine.md.\ndefaults:\n  - theirs # the plugin's own keys\n\nn: 1 # at a time\n"
    )
    page = group_pages(options(tmp_path))["hydra/launcher"]
    assert "Takes all other keys from `theirs` of Hydra's plugin." in page
    assert "Runs; see [launchers/mine](../../launchers/mine.md)." in page
    assert "| `hydra.launcher.n` | `1` | at a time |" in page
