"""Docstrings of the mathematical packages: every public name has one, every loss names its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "qam_torch"
PACKAGES = ("flows", "networks", "objectives", "policies", "algorithms")

Named = ast.FunctionDef | ast.ClassDef


def public(node: ast.AST) -> Iterator[Named]:
    for child in getattr(node, "body", []):
        if isinstance(child, Named) and (child.name == "__call__" or not child.name.startswith("_")):
            yield child


def top_level(package: str) -> Iterator[tuple[str, Named]]:
    for path in sorted((SOURCE / package).rglob("*.py")):
        for node in public(ast.parse(path.read_text())):
            yield f"{path.relative_to(SOURCE)}: {node.name}", node


def is_method(node: Named) -> bool:
    return isinstance(node, ast.ClassDef) and any(member.name == "losses" for member in public(node))


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_has_a_docstring(package: str) -> None:
    found = list(top_level(package))
    for name, node in top_level(package):
        if isinstance(node, ast.ClassDef):
            found += [(f"{name}.{member.name}", member) for member in public(node)]
    assert len(found) > 10
    assert [name for name, node in found if not ast.get_docstring(node)] == []
    modules = [path for path in (SOURCE / package).rglob("*.py") if not ast.get_docstring(ast.parse(path.read_text()))]
    assert modules == []


def test_every_loss_names_its_arguments_and_its_source() -> None:
    undocumented = []
    for name, node in top_level("objectives"):
        docstring = ast.get_docstring(node) or ""
        if isinstance(node, ast.FunctionDef):
            words = [] if "arguments are those of" in docstring else [one.arg for one in node.args.args]
            undocumented += [
                f"{name}({one})" for one in words if not re.search(rf"^[\w, ]*\b{one}\b", docstring, re.MULTILINE)
            ]
            undocumented += [f"{name}: {one}" for one in ("Source: ", "->|Returns:") if not re.search(one, docstring)]
    assert undocumented == []


def test_every_method_says_where_it_is_from() -> None:
    methods = {name: ast.get_docstring(node) or "" for name, node in top_level("algorithms") if is_method(node)}
    assert len(methods) > 12
    assert [name for name, docstring in methods.items() if "Source: " not in docstring] == []


def test_docstrings_are_in_google_style() -> None:
    """No table of names and meanings, which the API pages would show as running text."""
    table = re.compile(r"^ *(->|\w+(, \w+)*) {2,}\S", re.MULTILINE)
    documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{path.name}: {match[0].strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, documented)
        for match in table.finditer(ast.get_docstring(node) or "")
    ]
    assert found == []
