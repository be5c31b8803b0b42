"""Columns of a table on a terminal line up."""

from __future__ import annotations

from qam_torch.system.text_table import aligned


def test_columns_line_up_and_lines_end_with_their_last_word() -> None:
    rows = [("run", "score", "directory"), ("a longer name", "0.5", "")]
    assert aligned(rows, right=(1,)) == ["run            score  directory", "a longer name    0.5"]
    assert aligned([]) == []
