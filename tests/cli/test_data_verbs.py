"""`qam-data check` and `qam-data stats`: what they print, draw and return."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import ogbench
import pytest

from qam_torch.cli.data import main
from qam_torch.cli.data.examples import choose_examples
from qam_torch.cli.data.locate import data_set_name
from qam_torch.cli.data.scene import body_positions, scene_of
from qam_torch.data.generation.generate import generate
from qam_torch.data.inspection.statistics import summarize_episodes
from qam_torch.data.ogbench_format import read_npz, write_npz_atomic
from qam_torch.data.relabel import task_rewards
from qam_torch.envs.ogbench import make_environment
from qam_torch.plotting.datasets import dataset_figure

POINT, CUBE, QUADRUPLE = "pointmaze-medium-navigate-v0", "cube-double-play-v0", "cube-quadruple-play-100m-v0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small point maze dataset under its official name."""
    path = tmp_path_factory.mktemp("made") / f"{POINT}.npz"
    generate(POINT, path, transitions=6000, workers=1)
    return path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    for file in made.parent.glob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / made.name


def damage(path: Path) -> None:
    arrays = read_npz(path)
    arrays["actions"][5] = np.nan
    write_npz_atomic(path, arrays)


def cube_file(path: Path) -> dict[str, np.ndarray]:
    """Two random episodes; task 1 is solved in steps 10 to 14 of the first, and half solved in the next five."""
    rng = np.random.default_rng(0)
    environment = make_environment(CUBE, 1)
    environment.reset()
    world: Any = environment.unwrapped
    arrays = {
        "observations": rng.normal(size=(62, environment.observation_space.shape[0])),  # type: ignore[index]
        "actions": rng.uniform(-1, 1, size=(62, 5)),
        "terminals": np.arange(62) % 31 == 30,
        "qpos": rng.normal(size=(62, world.model.nq)),
        "qvel": rng.normal(size=(62, world.model.nv)),
    }
    arrays["qpos"][10:20, 14:17] = world._data.mocap_pos[0]
    arrays["qpos"][10:15, 21:24] = world._data.mocap_pos[1]
    environment.close()
    write_npz_atomic(path, arrays)
    return read_npz(path)


def test_check_of_a_sound_data_set_by_name(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--directory", str(made.parent), "check", POINT]) == 0
    printed = capsys.readouterr().out
    assert printed.count("verdict      ok") == 2 and "ERROR" not in printed and "2 of 2 files without errors" in printed
    assert "fits pointmaze-medium-singletask-v0" in printed and "0 rows are also in its -val file" in printed
    assert "as published has 1,000 of 1,000" in printed and "positions in x -6 to 26 m" in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if not line.startswith("/"))


def test_check_tells_of_every_error_and_returns_1(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(copy)
    copy.with_name(f"{copy.name}.sha256").write_text(f"# size 3\n{hashlib.sha256(b'').hexdigest()}  {copy.name}\n")
    assert main(["check", str(copy)]) == 1
    printed = capsys.readouterr().out
    assert "'actions' has 2 NaN and 0 infinite, first in row 5" in printed and "checksum     ERROR" in printed
    assert "verdict      ERROR  2 errors" in printed


def test_check_of_one_bad_file_among_good_ones(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(copy)
    assert main(["check", str(copy.parent), "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert all(finding.keys() == {"file", "check", "level", "message"} for finding in findings)
    (error,) = [finding for finding in findings if finding["level"] == "error"]
    assert error["file"] == str(copy) and error["check"] == "numbers"


def test_check_against_another_environment(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(made), "--env", "antmaze-medium-navigate-v0"]) == 1
    assert "'observations' has size 2, but antmaze-medium-singletask-v0 has 29" in capsys.readouterr().out


def test_file_that_says_nothing_of_its_environment(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = copy.rename(copy.with_name("mine.npz"))
    assert main(["check", str(mine)]) == 0
    assert "give --env NAME" in capsys.readouterr().out
    assert main(["stats", str(mine)]) == 1
    assert "with --env NAME" in capsys.readouterr().err
    assert main(["stats", str(mine), "--env", POINT, "--task", "1", "--png", "-"]) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "absent.npz"], "'absent.npz' does not exist"),
        (["check", "cube-duoble-play-v0"], "unknown dataset .* nearest names are cube-double-play-v0"),
        (["check", CUBE], f"is not in .*qam-data get {CUBE}"),
        (["stats", POINT, "--png", "no/where.png"], "directory 'no' does not exist"),
        (["stats", POINT, "--env", "maze"], "unknown environment 'maze'"),
        (["stats", "."], "has no training files"),
    ],
)
def test_unusable_arguments_are_one_sentence(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str],
    sentence: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["--directory", str(made.parent), *words]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert re.search(sentence, output.err)
    assert output.err.startswith("qam-data: ") and output.err.count("\n") == 1


@pytest.mark.parametrize("reward", ["dense", "sparse"])
def test_numbers_equal_those_of_ogbenchs_loader(made: Path, reward: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(made), "--reward", reward, "--png", "-", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["transitions"] == 6000 and printed["episodes"] == 6 and printed["episode_length"]["min"] == 1000
    assert printed["tasks"].keys() == set("12345") and "png" not in printed
    for task, row in printed["tasks"].items():
        name = POINT.replace("-v0", f"-singletask-task{task}-v0")
        _, data, _ = ogbench.make_env_and_datasets(name, dataset_path=str(made))
        returns = data["rewards"].reshape(6, 1000).sum(axis=1)
        solved = data["masks"].reshape(6, 1000) == 0
        assert row["success_transitions"] == pytest.approx(solved.mean())
        assert row["success_episodes"] == pytest.approx(solved.any(axis=1).mean())
        assert row["mean_reward"] == pytest.approx(returns.mean() / 1000)
        assert row["return_p75"] == pytest.approx(np.percentile(returns, 75))
    assert np.sum(printed["action_histogram"], axis=1) == pytest.approx([1, 1])


@pytest.mark.slow
def test_sparse_differs_where_a_task_has_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cube_file(path := tmp_path / f"{CUBE}.npz")
    for reward, total in (("dense", -2 * 60 + 2 * 5 + 5), ("sparse", -60 + 5)):
        assert main(["stats", str(path), "--task", "1", "--reward", reward, "--png", "-", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["reward"] == reward
        assert printed["tasks"]["1"]["mean_reward"] == pytest.approx(total / 60)


def test_stats_prints_a_table_and_leaves_a_picture(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--directory", str(made.parent), "stats", POINT, "--task", "3"]) == 0
    printed = capsys.readouterr().out
    assert (
        printed.startswith(f"{POINT}: 6,000 transitions in 6 episodes\n") and max(map(len, printed.splitlines())) <= 100
    )
    assert printed.splitlines()[-1] == f"plot: {POINT}-stats.png"
    assert [path.name for path in tmp_path.iterdir()] == [f"{POINT}-stats.png"]
    assert matplotlib.image.imread(tmp_path / f"{POINT}-stats.png").shape[1] > 1000


def test_shards_are_described_together(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = tmp_path / "shards"
    for number in (0, 1):
        arrays = {key: array[: 2002 * (number + 1)] for key, array in read_npz(made).items()}
        write_npz_atomic(shards / f"{POINT}-{number:03d}.npz", arrays)
        write_npz_atomic(shards / f"{POINT}-{number:03d}-val.npz", arrays)
    assert main(["stats", str(shards), "--task", "1", "--png", "-", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["transitions"] == 6000 and len(printed["files"]) == 2


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"x/{POINT}.npz", POINT),
        (f"x/{POINT}-val.npz", POINT),
        (f"x/{POINT}.generated-2000-seed0-val.npz", POINT),
        (f"{QUADRUPLE}/cube-quadruple-play-v0-007.npz", QUADRUPLE),
        (f"{QUADRUPLE}.generated-2000-seed0/cube-quadruple-play-v0-007-val.npz", QUADRUPLE),
        ("x/cube-quadruple-play-v0-007.npz", "cube-quadruple-play-v0"),
        (f"{QUADRUPLE}/puzzle-4x4-play-v0-007.npz", "puzzle-4x4-play-v0"),
        ("x/mine.npz", None),
    ],
)
def test_data_set_by_the_names_of_files(path: str, name: str | None) -> None:
    assert data_set_name(Path(path)) == name


def test_positions_are_those_of_the_simulation() -> None:
    environment = make_environment(CUBE, 1, seed=0)
    scene = scene_of(environment)
    world: Any = environment.unwrapped
    for _ in range(3):
        observation, *_ = environment.step(environment.action_space.sample())
    positions = body_positions(scene, observation[None], world._data.qpos[None])
    np.testing.assert_allclose(positions["gripper"][0], world._data.site_xpos[world._pinch_site_id], atol=1e-12)
    for cube in (0, 1):
        np.testing.assert_array_equal(
            positions[f"cube {cube + 1}"][0], world._data.joint(f"object_joint_{cube}").qpos[:3]
        )
        np.testing.assert_array_equal(scene.goals[f"cube {cube + 1}"], world.task_infos[0]["goal_xyzs"][cube])


@pytest.mark.slow
def test_picture_of_an_arm_shades_success(tmp_path: Path) -> None:
    arrays = cube_file(tmp_path / f"{CUBE}.npz")
    environment = make_environment(CUBE, 1)
    rewards, masks = task_rewards(environment, "cube-double-singletask-task1-v0", arrays)
    examples = choose_examples(arrays, rewards, masks, 1, scene_of(environment))
    assert [example.number for example in examples.episodes] == [0, 1]
    episodes = summarize_episodes(arrays, {1: (rewards, masks)})
    figure = dataset_figure("data", episodes.outcomes[1].returns, episodes.actions, examples, "dense")
    axes = {axes.get_title("left"): axes for axes in figure.get_axes()}
    solved, unsolved = axes["episode 0: success in 5 of 30 steps"], axes["episode 1: no success"]
    (span,) = solved.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (10, 15) and not unsolved.patches  # type: ignore[attr-defined]
    cube = next(line for line in solved.lines if line.get_label() == "cube 1")
    np.testing.assert_array_equal(cube.get_ydata(), arrays["qpos"][:30, 14])


def test_picture_of_a_maze_shows_episodes_of_both_outcomes(made: Path) -> None:
    arrays = read_npz(made)
    environment = make_environment(POINT, 1)
    for succeeding, numbers in (([2, 4, 5], [0, 2, 4]), ([1], [0, 1, 2]), (range(6), [0, 1, 2]), ([], [0, 1, 2])):
        masks = np.ones((6, 1000), dtype=np.float32)
        masks[list(succeeding), 500] = 0
        examples = choose_examples(arrays, masks.ravel() - 1, masks.ravel(), 1, scene_of(environment))
        assert [example.number for example in examples.episodes] == numbers
        assert [example.success.any() for example in examples.episodes] == [n in succeeding for n in numbers]
        np.testing.assert_array_equal(
            examples.episodes[1].positions["agent"], arrays["qpos"][1001 * numbers[1] :][:1000]
        )


def test_verbs_are_parsed_without_torch() -> None:
    code = (
        "import argparse, sys; from qam_torch.cli.data import check, stats; "
        "verbs = argparse.ArgumentParser().add_subparsers(); check.add_parser(verbs); stats.add_parser(verbs); "
        "print(*{'torch', 'ogbench', 'matplotlib', 'gymnasium'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"
