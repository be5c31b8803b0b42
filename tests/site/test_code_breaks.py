"""Line breaks in code change how a page looks, not its text."""

from __future__ import annotations

import re

from code_breaks import with_breaks


def text(page: str) -> str:
    return re.sub(r"<[^>]*>", "", page)


def test_names_in_tables_break_between_words_and_numbers_do_not() -> None:
    page = "<td><code>data.generate_transitions</code></td><td><code>0.005</code></td>"
    broken = with_breaks(page)
    assert broken == "<td><code>data.<wbr>generate_<wbr>transitions</code></td><td><code>0.005</code></td>"
    assert text(broken) == text(page)


def test_file_names_keep_their_endings() -> None:
    assert with_breaks("<td><code>flows/ode.py</code></td>") == "<td><code>flows/<wbr>ode.py</code></td>"


def test_a_comma_stays_with_the_name_before_it() -> None:
    broken = with_breaks("<td><code>rho</code>, <code>lr</code></td>")
    assert broken == '<td><span class="whole"><code>rho</code>,</span> <code>lr</code></td>'


def test_options_do_not_break() -> None:
    page = '<p><code>qam-eval CKPT --video-episodes 2</code></p><pre><code><a id="x--y"></a>run --a_b</code></pre>'
    broken = with_breaks(page)
    assert '<span class="option">--video-episodes</span> 2' in broken and '<span class="option">--a_b</span>' in broken
    assert '<a id="x--y">' in broken and text(broken) == text(page)


def test_names_outside_tables_are_left_alone() -> None:
    page = "<p>--this <code>data.directory</code></p>"
    assert with_breaks(page) == page
