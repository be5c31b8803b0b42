"""`qam-reproduce parity`: learning curves beside those of the authors' code."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from qam_torch.cli.reproduce import main
from qam_torch.config.composition import compose
from qam_torch.paper.learning_curves import LearningCurves, recorded_curves
from qam_torch.reproduction import parity_runs
from qam_torch.reproduction.parity_comparison import compare, table_lines, write_curves
from qam_torch.reproduction.parity_runs import RUNS, ParityRun, read_curves
from qam_torch.training.settings import read_settings
from tests.helpers.runs import one_sentence

MAZE = "pointmaze-medium-navigate-v0"


def curves(success: list[float], q_mean: list[float]) -> LearningCurves:
    """Two evaluations, the first at zero."""
    last = np.array([success, q_mean])
    both = np.stack([np.zeros_like(last), last], axis=-1)
    return LearningCurves(np.arange(len(success)), np.array([50, 100]), *both)


def test_the_recorded_curves() -> None:
    maze = recorded_curves("qam", MAZE)
    assert maze.success.shape == maze.q_mean.shape == (19, 4)
    assert maze.updates.tolist() == [2500, 5000, 7500, 10000]
    assert maze.success[maze.seeds == 13, -1] == 0 and maze.q_mean[maze.seeds == 13, -1] == -56.606
    assert np.sum(maze.success[:, -1] > 0.9) == 17
    with pytest.raises(KeyError):
        recorded_curves("fql", MAZE)


def test_every_run_is_recorded_and_has_the_recorded_settings(tmp_path: Path) -> None:
    for run in RUNS:
        theirs = recorded_curves(run.method, run.dataset)
        config = compose(run.overrides(tmp_path / "with space, comma.npz"))
        settings = read_settings(config)
        assert settings.schedule.offline_steps == theirs.updates[-1]
        assert np.array_equal(np.arange(1, 5) * config.eval_every, theirs.updates)
        assert list(settings.method.seeds) == list(range(run.seeds))
        assert config.data.path == str(tmp_path / "with space, comma.npz")
        same = compose(["experiment=parity", f"algo={run.method}", f"env={run.environment}"])
        assert (config.algo, config.batch_size, config.task) == (same.algo, same.batch_size, 1)
        assert (config.algo.horizon_length, config.algo.discount, config.algo.rho) == (5, 0.99, 0.5)


def test_the_critic_value_is_averaged_over_the_last_hundred_updates(tmp_path: Path) -> None:
    lines = ["step,phase,update,seed,critic/q_mean,evaluation/success"]
    for update in range(50, 401, 50):
        for seed in (0, 1):
            success = update / 400 if update % 200 == 0 else ""
            lines.append(f"{update},offline,{update},{seed},{-update - 1000 * seed},{success}")
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    found = read_curves(tmp_path)
    assert found.updates.tolist() == [200, 400] and found.success.tolist() == [[0.5, 1.0]] * 2
    assert found.q_mean.tolist() == [[-175, -375], [-1175, -1375]]


def test_verdicts() -> None:
    alike = curves([1, 1, 1, 0, 1], [-59, -60, -61, -58, -60])
    other = curves([1, 1, 0, 1, 1], [-60, -59, -61, -58, -59])
    assert [one.verdict for one in compare(alike, other)] == ["no difference found"] * 3
    good, bad = curves([1, 0.98] * 10, [-60, -59] * 10), curves([0.1, 0.2, 0.1, 0.2, 0.1], [-40, -41, -40, -39, -40])
    success, share, value = compare(good, bad)
    assert (success.verdict, share.verdict, value.verdict) == ("differs",) * 3
    assert (success.ours, share.ours, value.ours) == pytest.approx((0.99, 1, -59.5))
    assert (share.theirs, value.theirs) == (0, -40)
    few = compare(good, curves([0.1] * 4, [-40, -41, -40, -39]))
    assert [(one.verdict, one.difference) for one in few] == [("too few seeds", None)] * 3


def test_the_written_curves_have_both_codes(tmp_path: Path) -> None:
    pair = curves([1, 0.5], [-60, -59.5]), curves([0.25], [-58])
    write_curves(tmp_path / "curves.csv", {"qam-maze": pair})
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    columns = ("code", "seed", "success", "q_mean")
    assert [tuple(row[name] for name in columns) for row in rows if row["update"] == "100"] == [
        ("qam_torch", "0", "1", "-60"),
        ("qam_torch", "1", "0.5", "-59.5"),
        ("authors", "0", "0.25", "-58"),
    ]
    assert len(table_lines({"qam-maze": pair})) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "fql-maze"], "--runs fql-maze is not recorded: choose from qam-pointmaze-medium-navigate, "),
        (["algo.lr=1"], "algo.lr=1 changes the recorded runs: leave it out, or use qam-train"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity", *words]) == 1
    assert message in one_sentence(capsys.readouterr().err, "qam-reproduce")


@pytest.mark.slow
def test_the_whole_command_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ParityRun("qam", "pointmaze-medium-navigate", seeds=2, updates=40)
    usual = ParityRun.overrides
    small = ["algo.actor_hidden_dims=[8]", "algo.value_hidden_dims=[8]", "batch_size=8", "eval_episodes=1"]
    monkeypatch.setattr(ParityRun, "overrides", lambda one, data, more: [*usual(one, data, more), *small])
    monkeypatch.setattr(parity_runs, "RUNS", (run,))
    monkeypatch.setattr(parity_runs, "TRANSITIONS", 2000)
    theirs = recorded_curves("qam", MAZE)._replace(updates=np.array([10, 20, 30, 40]))
    monkeypatch.setattr("qam_torch.paper.learning_curves.recorded_curves", lambda *_: theirs)
    monkeypatch.chdir(tmp_path)
    words = ["parity", "--directory", "data", "trainer=cpu", "eval_workers=0"]
    assert main(words) == 0
    first = {path.name: path.read_bytes() for path in Path("parity").iterdir()}
    assert set(first) == {"table.md", "curves.csv", f"{run.name}.png"}
    assert first["curves.csv"].count(b"qam_torch,") == 2 * 4
    assert "| 2, 19 | final success |" in capsys.readouterr().out
    assert main(words) == 0
    assert "this run is finished" in capsys.readouterr().out
    assert (Path("parity") / "curves.csv").read_bytes() == first["curves.csv"]


def test_the_table_of_the_docs_is_that_of_the_curves_beside_it(tmp_path: Path) -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    pairs: dict[str, list[LearningCurves]] = {}
    rows = list(csv.DictReader((docs / "files" / "parity_curves.csv").open()))
    for name, code in dict.fromkeys((row["run"], row["code"]) for row in rows):
        own = [row for row in rows if (row["run"], row["code"]) == (name, code)]
        seeds, updates = (list(dict.fromkeys(int(row[column]) for row in own)) for column in ("seed", "update"))
        values = [
            np.reshape([float(row[measure]) for row in own], (len(seeds), -1)) for measure in ("success", "q_mean")
        ]
        pairs.setdefault(name, []).append(LearningCurves(np.array(seeds), np.array(updates), *values))
    lines = table_lines({name: (ours, theirs) for name, (ours, theirs) in pairs.items()})
    assert len(lines) == 2 + 3 * len(pairs) and "\n".join(lines) in (docs / "reproduction.md").read_text()
    for name, (_, theirs) in pairs.items():
        recorded = recorded_curves(name.partition("-")[0], f"{name.partition('-')[2]}-v0")
        np.testing.assert_array_equal(theirs.success, recorded.success)
