"""The page is well formed and loads nothing."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from tests.helpers.html_page import Page


def test_the_page_is_whole_and_fetches_nothing(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    for tag, reference in page.references:
        assert reference.startswith("#") or (tag == "a" and reference.startswith("https://arxiv.org/"))
        assert not reference.startswith("#") or reference[1:] in page.ids
    assert "<script" not in text and "@import" not in text
    assert {match for match in re.findall(r"url\(([^)]*)\)", text) if not match.startswith("#")} == set()
    for reference in re.findall(r"url\(#([^)]*)\)", text):
        assert reference in page.ids


def test_plots_are_in_the_pages_colors_and_well_formed(written: Path) -> None:
    text = (written / "report.html").read_text()
    plots = re.findall(r'<div class="panel">.*?(<svg.*?</svg>)', text, re.DOTALL)
    assert len(plots) == 7  # the domain, its five tasks, the profiles
    for plot in plots:
        ElementTree.fromstring(plot.replace("xlink:href", "href"))
        assert "var(--ink)" in plot and "#333333" not in plot and "#ffffff" not in plot
    assert "prefers-color-scheme: dark" in text


def test_published_curves_are_dashed_in_the_color_of_the_own_ones(written: Path) -> None:
    text = (written / "report.html").read_text()
    domain = re.findall(r'<div class="panel">.*?(<svg.*?</svg>)', text, re.DOTALL)[0]
    lines = re.findall(r'<path d="[^"]*" clip-path[^>]*style="([^"]*)"', domain, re.DOTALL)
    colors = [(style, color) for style in lines for color in re.findall("stroke: (#.{6})", style)]
    own = {color for style, color in colors if "dasharray" not in style}
    dashed = {color for style, color in colors if "dasharray: 4.8" in style}
    assert len(dashed) == 2 and dashed < own  # qam and fql; dac was run on one task only
