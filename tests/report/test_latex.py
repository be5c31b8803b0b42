"""LaTeX tables are complete."""

from __future__ import annotations

import re
from pathlib import Path


def test_latex_tables_are_closed_and_have_as_many_cells_as_columns(written: Path) -> None:
    text = (written / "report.tex").read_text()
    for name in ("table", "tabular", "longtable", "document"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}")
    for rules in (r"\toprule", r"\bottomrule"):
        assert text.count(rules) == text.count(r"\caption{")
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
