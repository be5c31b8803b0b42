"""The published OGBench datasets of vector observations: their names, sizes and files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from qam_torch.types import QamError

__all__ = ["CATALOG", "DATASET_URL", "CatalogEntry", "catalog_entry"]

DATASET_URL = "https://rail.eecs.berkeley.edu/datasets/ogbench"
"""URL below which OGBench publishes its files."""


class CatalogEntry(NamedTuple):
    """One published dataset.

    Attributes:
        name: OGBench's name, e.g. "cube-triple-play-v0". Names of large datasets include a size:
            "cube-octuple-play-100m-v0".
        environment: registered goal-conditioned environment of the recording, e.g. "cube-triple-v0".
        kind: "play", "noisy" (arm); "navigate", "stitch", "explore" (mazes, soccer).
        episodes: training episodes per file; the validation file has a tenth as many.
        steps: transitions per episode. A file has one more row per episode, for the final observation.
        shards: number of training files. If there are several, they are in a directory with the dataset's name.
        published: whether OGBench offers it for download.
    """

    name: str
    environment: str
    kind: str
    episodes: int
    steps: int
    shards: int = 1
    published: bool = True

    @property
    def family(self) -> str:
        """First word of the name: cube, scene, puzzle, pointmaze, antmaze, humanoidmaze, antsoccer."""
        return self.name.split("-")[0]

    @property
    def transitions(self) -> int:
        """Number of training transitions in all shards."""
        return self.episodes * self.steps * self.shards

    @property
    def generated_by_oracle(self) -> bool:
        """Whether it was recorded with OGBench's scripted oracles; ant and humanoid data need trained experts."""
        return self.family in ("cube", "scene", "puzzle", "pointmaze")

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of its files below a data directory and below DATASET_URL, training files first."""
        if self.shards == 1:
            return (f"{self.name}.npz", f"{self.name}-val.npz")
        # "cube-octuple-play-100m-v0/cube-octuple-play-v0-000.npz": the file names do not include the size
        words = self.name.split("-")
        stem = "-".join([*words[:-2], words[-1]])
        numbers = [f"{number:03d}" for number in range(self.shards)]
        return tuple(f"{self.name}/{stem}-{number}{end}.npz" for end in ("", "-val") for number in numbers)


def _mazes() -> Iterator[CatalogEntry]:
    for maze in ("medium", "large", "giant", "teleport"):
        navigate = (500, 2000) if maze == "giant" else (1000, 1000)
        for body in ("pointmaze", "antmaze"):
            yield _entry(body, maze, "navigate", *navigate)
            yield _entry(body, maze, "stitch", 5000, 200)
        if maze != "giant":
            yield _entry("antmaze", maze, "explore", 10_000, 500)
    for maze, steps, stitches in (("medium", 2000, 5000), ("large", 2000, 5000), ("giant", 4000, 10_000)):
        yield _entry("humanoidmaze", maze, "navigate", 1000, steps)
        yield _entry("humanoidmaze", maze, "stitch", stitches, 400)
    yield _entry("humanoidmaze", "giant", "navigate", 1000, 4000, shards=25)
    yield _entry("antsoccer", "arena", "navigate", 1000, 1000)
    yield _entry("antsoccer", "medium", "navigate", 4000, 1000)
    yield _entry("antsoccer", "arena", "stitch", 5000, 200)
    yield _entry("antsoccer", "medium", "stitch", 8000, 500)


def _arm() -> Iterator[CatalogEntry]:
    sizes = {
        ("cube", "single"): 1000,
        ("cube", "double"): 1000,
        ("cube", "triple"): 3000,
        ("cube", "quadruple"): 5000,
        ("scene", ""): 1000,
        ("puzzle", "3x3"): 1000,
        ("puzzle", "4x4"): 1000,
        ("puzzle", "4x5"): 3000,
        ("puzzle", "4x6"): 5000,
    }
    for (family, variant), episodes in sizes.items():
        for kind in ("play", "noisy"):
            yield _entry(family, variant, kind, episodes, 1000)
    for kind in ("play", "noisy"):  # OGBench publishes only the version with 100 files, but the recipe is the same
        yield _entry("cube", "octuple", kind, 1000, 1000)._replace(published=False)
    for family, variant in (
        ("cube", "quadruple"), ("cube", "octuple"), ("puzzle", "4x4"), ("puzzle", "4x5"), ("puzzle", "4x6"),
    ):  # fmt: skip
        yield _entry(family, variant, "play", 1000, 1000, shards=100)


def _entry(family: str, variant: str, kind: str, episodes: int, steps: int, shards: int = 1) -> CatalogEntry:
    base = f"{family}-{variant}".rstrip("-")
    size = "-100m" if shards > 1 else ""
    return CatalogEntry(f"{base}-{kind}{size}-v0", f"{base}-v0", kind, episodes, steps, shards)


CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in (*_arm(), *_mazes())})
"""Name -> dataset. Source: the published commands of Park et al. 2025 (OGBench) and its 100M-transition sets."""


def catalog_entry(name: str) -> CatalogEntry:
    """Look up a published dataset.

    Args:
        name: OGBench's name, e.g. "cube-triple-play-v0".

    Returns:
        Its catalog entry.

    Raises:
        QamError: no dataset has this name (the message suggests the nearest names), or it contains images.
    """
    if name in CATALOG:
        return CATALOG[name]
    if name.startswith(("visual-", "powderworld-")):
        raise QamError(
            f"dataset '{name}' contains images, which are not supported: choose a dataset with state observations"
        )
    near = difflib.get_close_matches(name, CATALOG, n=3, cutoff=0.0)
    raise QamError(f"unknown dataset '{name}': the nearest names are {', '.join(near)}")
