"""Text files are UTF-8 whatever the locale: every call that opens one says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.helpers.runs import ROOT


def locale_dependent(source: str) -> Iterator[int]:
    """Lines that open a text file, or start a process with text streams, without an encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(word.arg in ("encoding", None) for word in call.keywords):
            continue
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        words = [
            one.value for one in [*call.args, *(word.value for word in call.keywords)] if isinstance(one, ast.Constant)
        ]
        binary = any(isinstance(word, str) and "b" in word and len(word) <= 3 for word in words)
        text_process = any(word.arg == "text" for word in call.keywords)
        opens = isinstance(function, ast.Name) and name == "open" and not binary
        if opens or name in ("read_text", "write_text") and function.__class__ is ast.Attribute or text_process:
            yield call.lineno


def test_no_text_depends_on_the_locale() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line in locale_dependent(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_is_found() -> None:
    calls = [
        "open(p)",
        "open(p, 'w')",
        "open(p, 'rb')",
        "p.read_text()",
        "p.write_text(t, encoding='utf-8')",
        "run(c, text=True)",
    ]
    assert list(locale_dependent("\n".join(calls))) == [1, 2, 4, 6]
