"""What is known of the datasets without having them: names, sizes, files; and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from qam_torch.data.catalog import CATALOG, CatalogEntry, catalog_entry
from qam_torch.envs.ogbench import make_environment
from qam_torch.types import QamError

KINDS = {
    "cube": {"play", "noisy"},
    "scene": {"play", "noisy"},
    "puzzle": {"play", "noisy"},
    "pointmaze": {"navigate", "stitch"},
    "antmaze": {"navigate", "stitch", "explore"},
    "humanoidmaze": {"navigate", "stitch"},
    "antsoccer": {"navigate", "stitch"},
}


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_a_name_is_environment_kind_and_size(entry: CatalogEntry) -> None:
    words = [entry.environment.removesuffix("-v0"), entry.kind, *(["100m"] if entry.shards > 1 else []), "v0"]
    assert entry.name == "-".join(words)
    assert catalog_entry(entry.name) is entry
    assert entry.family in KINDS
    assert (entry.transitions == 100_000_000) == (entry.shards > 1)


def test_every_family_has_its_kinds_and_the_arm_both_of_every_size() -> None:
    found: dict[str, set[str]] = {}
    for entry in CATALOG.values():
        found.setdefault(entry.family, set()).add(entry.kind)
    assert found == KINDS
    for entry in CATALOG.values():
        if entry.generated_by_oracle:
            kinds = {other.kind for other in CATALOG.values() if other.environment == entry.environment}
            assert kinds == KINDS[entry.family]


@pytest.mark.parametrize(
    ("name", "transitions", "episode"),
    [
        ("cube-single-play-v0", 1_000_000, 1000),
        ("cube-triple-noisy-v0", 3_000_000, 1000),
        ("cube-quadruple-play-v0", 5_000_000, 1000),
        ("puzzle-4x5-play-v0", 3_000_000, 1000),
        ("pointmaze-giant-navigate-v0", 1_000_000, 2000),
        ("antmaze-medium-stitch-v0", 1_000_000, 200),
        ("antmaze-teleport-explore-v0", 5_000_000, 500),
        ("humanoidmaze-large-navigate-v0", 2_000_000, 2000),
        ("humanoidmaze-giant-stitch-v0", 4_000_000, 400),
        ("antsoccer-medium-stitch-v0", 4_000_000, 500),
        ("humanoidmaze-giant-navigate-100m-v0", 100_000_000, 4000),
    ],
)
def test_published_sizes(name: str, transitions: int, episode: int) -> None:
    assert (catalog_entry(name).transitions, catalog_entry(name).steps) == (transitions, episode)


def test_files_have_their_own_names_the_training_files_first() -> None:
    every = [file for entry in CATALOG.values() for file in entry.files]
    assert len(every) == len(set(every)) == 2 * sum(entry.shards for entry in CATALOG.values())
    assert catalog_entry("scene-play-v0").files == ("scene-play-v0.npz", "scene-play-v0-val.npz")
    files = catalog_entry("puzzle-4x4-play-100m-v0").files
    assert files[0] == "puzzle-4x4-play-100m-v0/puzzle-4x4-play-v0-000.npz"
    assert files[99:101] == (
        "puzzle-4x4-play-100m-v0/puzzle-4x4-play-v0-099.npz",
        "puzzle-4x4-play-100m-v0/puzzle-4x4-play-v0-000-val.npz",
    )


def test_only_scripted_oracles_can_be_run_here() -> None:
    made = {entry.family for entry in CATALOG.values() if entry.generated_by_oracle}
    assert made == {"cube", "scene", "puzzle", "pointmaze"}


def test_what_is_not_offered_can_be_made() -> None:
    assert all(entry.published or entry.generated_by_oracle for entry in CATALOG.values())


@pytest.mark.parametrize(
    ("name", "near"),
    [("cube-tripel-play-v0", "cube-triple-play-v0"), ("puzzle-4x4-play", "puzzle-4x4-play-v0"), ("", "-v0")],
)
def test_an_unknown_name_tells_the_nearest(name: str, near: str) -> None:
    with pytest.raises(QamError, match=f"^unknown dataset '{name}': the nearest names are .*{near}"):
        catalog_entry(name)


@pytest.mark.parametrize(
    "name", ["visual-cube-single-play-v0", "visual-antmaze-large-navigate-v0", "powderworld-easy-play-v0"]
)
def test_images_are_refused(name: str) -> None:
    with pytest.raises(
        QamError, match=f"^dataset '{name}' contains images, .*: choose a dataset with state observations$"
    ):
        catalog_entry(name)
    with pytest.raises(QamError, match=f"'{name}' contains images"):
        make_environment(name, 1)


def test_the_catalog_stays_as_it_is() -> None:
    catalog: Any = CATALOG
    with pytest.raises(TypeError):
        catalog["x"] = None
