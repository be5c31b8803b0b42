"""What documentation and messages recommend works: commands, keys, and words that a shell leaves as they are."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import nbformat
import pytest
import yaml
from omegaconf import OmegaConf

from qam_torch.cli import bench, data, evaluate, export, reproduce
from qam_torch.config.composition import compose
from qam_torch.config.groups import GROUPS
from qam_torch.config.hydra_internals import get_args_parser
from tests.helpers.runs import ROOT

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What an f-string fills in."""

PATTERN = re.compile(r"(?<!['\"\w.+~/])[+~]*[\w.]*[a-z_]=\[(?!\w*,? ?for )")
"""A word with a list, outside quotes: zsh would look for files that match it."""


class Text(NamedTuple):
    """A text that a user reads, and where it stands."""

    text: str
    place: str
    module: ast.Module | None = None


@cache
def messages() -> list[Text]:
    """The texts in the source, except for docstrings."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        scopes = [node for node in ast.walk(module) if isinstance(getattr(node, "body", None), list)]
        silent = {id(one.value) for node in scopes for one in node.body if isinstance(one, ast.Expr)}
        silent |= {id(part) for node in ast.walk(module) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                found.append(Text(node.value, f"{path.name}:{node.lineno}", module))
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else UNKNOWN for part in node.values)
                found.append(Text("".join(map(str, parts)), f"{path.name}:{node.lineno}", module))
    return [one for one in found if " " in one.text]


def pages() -> Iterator[Text]:
    """The documentation without its Python code, the comments of configs, and the text of notebooks."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        yield Text(re.sub(r"^```python\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), path.name)
    for path in (ROOT / "conf").rglob("*.yaml"):
        yield Text(path.read_text(encoding="utf-8"), path.name)
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, nbformat.NO_CONVERT).cells
        yield Text("\n".join(cell.source for cell in cells if cell.cell_type == "markdown"), path.name)


def test_words_with_lists_are_quoted() -> None:
    texts = [*pages(), *messages()]
    assert len(texts) > 1000
    unquoted = [f"{one.place}: {found[0]}" for one in texts for found in PATTERN.finditer(one.text)]
    assert unquoted == []
    assert PATTERN.search("qam-train seeds=[1,2]") and not PATTERN.search("qam-train 'seeds=[1,2]'")


def test_no_word_of_a_command_is_a_pattern_of_the_shell() -> None:
    for page in pages():
        for block in re.findall(r"^```bash\n(.*?)^```", page.text, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line, posix=False, punctuation_chars=False)
                lexer.whitespace_split = True
                words = [word for word in lexer if "=" in word and word[0] not in "'\""]
                assert not [word for word in words if re.search(r"[\[\]*?(){}~]", word)], f"{page.place}: {line}"


# Keys


@cache
def known_keys() -> frozenset[str]:
    """Every key that some choice of method, environment and logger has, and the groups."""
    keys = {"algo", "env", "trainer", "logger", "experiment", "hydra/launcher", "hydra/sweeper", "hydra.searchpath"}

    def add(config: Mapping[str, Any], prefix: str = "") -> None:
        for name, value in config.items():
            keys.add(f"{prefix}{name}")
            if isinstance(value, dict):
                add(value, f"{prefix}{name}.")

    add(cast("dict[str, Any]", OmegaConf.to_container(compose(), resolve=False)))
    for path in (ROOT / "conf").rglob("*.yaml"):
        group = path.relative_to(ROOT / "conf").parts[0]
        text = path.read_text(encoding="utf-8")
        if group in ("algo", "env", "logger"):
            add(yaml.safe_load(text), "" if "@package _global_" in text else f"{group}.")
    return frozenset(keys)


def parameters(text: Text) -> set[str]:
    """The names of all parameters in the module of a message: some name arguments of the Python API."""
    assert text.module is not None
    nodes = list(ast.walk(text.module))
    fields = {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    return fields | {node.arg for node in nodes if isinstance(node, ast.arg)}


WORD = re.compile(r"(?<![\w./'\"=-])([a-z_]+(?:[./][a-z_0-9]+)*)=([\w./:\ufffd-]*)(?=[\s,;:)'`]|$)")
EXAMPLES = {"key", "pos", "size", "rgba", "role", "flush", "inv_temp"}
"""Names in texts that are not overrides: an address of a member, XML, Python code that is run."""


def recommended() -> dict[tuple[str, str], Text]:
    """(key, value) -> a message with this word."""
    found = ((match, one) for one in messages() for match in WORD.finditer(one.text))
    return {(match[1], match[2]): one for match, one in found if match[1] not in EXAMPLES}


def test_every_key_in_a_message_is_one() -> None:
    words = recommended()
    assert len(words) > 40 and ("on_divergence", "freeze") in words
    unknown = {
        f"{one.place}: {key}"
        for (key, _), one in words.items()
        if key not in known_keys() and key not in parameters(one) and not key.startswith("hydra.")
    }
    assert unknown == set()


BESIDE = {"npz": ["path=a.npz", "env_id=b"], "hdf5": ["path=a.hdf5", "env_id=b"], "minari": ["dataset=a"]}
"""What a choice of env needs beside it."""


def method_with(key: str) -> str:
    """A method whose config has the key."""
    line = re.compile(rf"^{key.removeprefix('algo.')}:", re.MULTILINE)
    return next(path.stem for path in sorted((ROOT / "conf" / "algo").glob("*.yaml")) if line.search(path.read_text()))


def test_every_concrete_word_in_a_message_is_composed() -> None:
    """As few times as possible: words of different keys are composed together."""
    commands: list[dict[str, str]] = []
    common = {f"algo.{name}" for name in compose().algo}
    for key, value in recommended():
        given = value not in ("", "...") and not value.isupper() and UNKNOWN not in value
        if given and key in known_keys() and not key.startswith("hydra"):
            if key.startswith("algo.") and key not in common:  # of one method only
                commands.append({key: value, "algo": method_with(key)})
                continue
            free = next((words for words in commands if key not in words), None)
            if free is None:
                commands.append(free := {})
            free[key] = value
    assert 2 < len(commands) < 8
    for words in commands:
        # Keys of other sources of data than OGBench are known where one is chosen.
        words.setdefault("env", "npz" if "env_id" in words else "cube-single-play")
        beside = [word for word in BESIDE.get(words["env"], []) if word.partition("=")[0] not in words]
        overrides = [f"{key}={value}" for key, value in words.items() if key != "path"]
        config = compose([*overrides, *beside])
        for key, value in words.items():
            chosen = OmegaConf.select(config, key)
            assert OmegaConf.is_dict(chosen) or str(chosen).lower() == value.lower() or key == "path", f"{key}={value}"


# Commands

COMMAND = re.compile(
    r"qam-(?:train|data|eval|export|bench|reproduce)"
    rf"(?: (?:--?[a-z-]+|{UNKNOWN}|[A-Z]+|list|get|generate|cuda|\w+\.\w+))+"
)
PARSERS = {
    "qam-data": data, "qam-eval": evaluate, "qam-export": export, "qam-bench": bench, "qam-reproduce": reproduce,
}  # fmt: skip


def test_every_command_in_a_message_is_understood() -> None:
    commands = {found[0]: one.place for one in messages() for found in COMMAND.finditer(one.text)}
    assert len(commands) > 8
    for text, place in commands.items():
        program, *words = re.sub(rf"{UNKNOWN}|\b[A-Z]+\b", "qam", text).split()
        if "--help" in words:
            continue
        if program == "qam-train":
            get_args_parser().parse_args(words)
        else:
            importlib.import_module(PARSERS[program].__name__)._parser().parse_args(words)  # raises QamError, named
        assert place


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs").rglob("*.md")) + [ROOT / "README.md"], ids=lambda path: path.name
)
def test_every_key_in_a_command_of_the_documentation_is_one(page: Path) -> None:
    for block in re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "qam-train" not in words or "--config-dir" in words:
                continue
            for word in words[words.index("qam-train") + 1 :]:
                key = word.partition("=")[0]
                fits = key in (*known_keys(), *GROUPS) or key.startswith(("hydra.", "population.")) or "=" not in word
                assert fits, f"{page.name}: {word}"
