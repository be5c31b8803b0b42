"""A grid of numbers as one population: what is trained, how members are addressed, what becomes of one that is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.algorithms.core.addresses import Member, find_member
from qam_torch.cli.evaluate import main
from qam_torch.inference import episodes
from qam_torch.inference.evaluate import evaluate
from qam_torch.rollout import video
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.training import fit as run
from qam_torch.training.fit import RunResult
from qam_torch.training.settings import read_settings
from qam_torch.types import Batch, Noise, QamError
from tests.helpers import runs as small_runs
from tests.helpers.runs import Fit
from tests.training.test_resume import assert_equal, checkpoint, metrics

SHORT = ("offline_steps=20", "updates_per_step=5", "checkpoint_every=5", "precision=float64")
GRID = ("seeds=[1,2]", "population.inv_temp=[0.3,3]", "population.discount=[0.9,0.99]")
NAMES = [f"seed={s},discount={d},inv_temp={t}" for t in ("0.3", "3") for d in ("0.9", "0.99") for s in (1, 2)]

pytestmark = pytest.mark.usefixtures("short_episodes")


@pytest.fixture(scope="module")
def grid(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished grid of eight, with everything a run leaves; not to be written to."""
    return tiny_fit(tmp_path_factory.mktemp("grid") / "run", *GRID, *SHORT, plots=True)


@pytest.fixture
def unevaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes take a second or two for each evaluation, and are not what these tests are about."""

    def outcome(act: Any, pool: Any, members: int, episodes: int, *rest: Any, **options: Any) -> Evaluation:
        zeros = np.zeros((members, episodes))
        metrics = {"success": zeros > 0, "return": zeros, "length": zeros.astype(int)}
        return Evaluation(metrics, 0.0, (np.zeros((2, 2)),) * episodes)

    monkeypatch.setattr(episodes, "evaluate", outcome)


def last(result: RunResult) -> Path:
    return result.directory / "checkpoints" / "last.ckpt"


def assert_member(result: RunResult, member: int, lone: RunResult) -> None:
    """Its parameters and its rows of metrics are those of the lone run."""
    assert result.algorithm is not None and lone.algorithm is not None
    together = result.algorithm.state_dict()
    for name, value in lone.algorithm.state_dict().items():
        torch.testing.assert_close(together[name][member], value[0], rtol=1e-9, atol=1e-11, msg=name)
    own = [row for row in metrics(result.directory) if row["member"] == str(member)]
    for mine, alone in zip(own, metrics(lone.directory), strict=True):
        for name in alone.keys() - {"phase"}:
            assert (mine[name] == "") == (alone[name] == ""), name
            if alone[name]:
                assert float(mine[name]) == pytest.approx(float(alone[name]), rel=1e-7, abs=1e-9), name


@pytest.mark.parametrize("member", [1, 6])
@pytest.mark.slow
def test_a_member_of_a_grid_equals_its_lone_run(member: int, grid: RunResult, tiny_fit: Fit, tmp_path: Path) -> None:
    own = [f"algo.{word}" if not word.startswith("seed") else word for word in NAMES[member].split(",")]
    assert_member(grid, member, tiny_fit(tmp_path / "run", *SHORT, *own))


@pytest.mark.slow
@pytest.mark.usefixtures("unevaluated")
def test_a_member_that_acts_online_equals_its_lone_run(tiny_fit: Fit, tmp_path: Path) -> None:
    online = (
        "algo=qam_e",
        "offline_steps=4",
        "online_steps=12",
        "start_training=6",
        "precision=float64",
        "eval_episodes=1",
    )
    values = ("population.edit_scale=[0,0.5]", "population.discount=[0.9,0.99]")
    together = tiny_fit(tmp_path / "grid", *online, "seeds=[3]", *values)
    lone = tiny_fit(tmp_path / "lone", *online, "seed=3", "algo.edit_scale=0.5", "algo.discount=0.9")
    assert_member(together, 2, lone)
    plain = tiny_fit(tmp_path / "plain", *online, "seed=3", "algo=qam", "algo.discount=0.99")
    assert_member(together, 1, plain)  # without edits: QAM, with all its draws
    policies = [qam_torch.load_policy(last(together), edit_scale=0, discount=0.99), qam_torch.load_policy(last(plain))]
    np.testing.assert_allclose(*(policy(np.ones((4, 2))) for policy in policies), rtol=1e-9)


@pytest.mark.slow
def test_large_seeds_are_distinguished() -> None:
    members = [Member(2**53, {}), Member(2**53 + 1, {})]
    assert find_member(members, None, {"seed": 2**53 + 1}) == find_member(members, f"seed={2**53 + 1}") == 1
    with pytest.raises(QamError, match="which no member has"):
        find_member(members, None, {"seed": 10**400})


@pytest.mark.slow
def test_a_list_for_the_seeds_is_no_part_of_the_grid() -> None:
    words = ["experiment=quickstart", "seeds=[1,2]", "algo.lr=[1e-3,1e-4]", "population.inv_temp=[1,3]"]
    algorithm, _ = read_settings(qam_torch.compose(words)).method.build(observation_dim=1, action_dim=1)
    assert algorithm.member_values["lr"] == [1e-3, 1e-4] * 2


@pytest.mark.slow
def test_reports_tell_members_apart(grid: RunResult) -> None:
    assert [member["name"] for member in grid.summary["members"]] == NAMES
    cells = [(cell["values"], cell["seeds"], len(cell["success_by_seed"])) for cell in grid.summary["cells"]]
    assert cells[1] == ({"discount": 0.99, "inv_temp": 0.3}, [1, 2], 2) and len(cells) == 4
    found = read_metrics(grid.directory / "metrics.csv")
    assert [*found][3:7] == ["member", "seed", "discount", "inv_temp"]
    assert found["inv_temp"][:8].tolist() == [0.3] * 4 + [3.0] * 4 and found["seed"][:4].tolist() == [1, 2, 1, 2]
    assert (grid.directory / "plots" / "success.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "member", [5, np.int64(5), "seed=2,inv_temp=3,discount=0.9", " inv_temp=3.0, seed=2,discount=0.9"]
)
def test_a_member_is_addressed_by_seed_and_numbers(member: int | str, grid: RunResult) -> None:
    policy = qam_torch.load_policy(last(grid), member)
    assert grid.algorithm is not None
    for name, value in policy.algorithm.state_dict().items():
        assert torch.equal(value[0], grid.algorithm.state_dict()[name][5]), name
    chunk = policy(np.zeros(2))
    for address in ({"seed": 2, "discount": 0.9}, {"member": 5}, {"member": "seed=2", "discount": np.float64(0.9)}):
        again = qam_torch.load_policy(last(grid), inv_temp=3, **address)
        np.testing.assert_array_equal(chunk, again(np.zeros(2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ({}, "got no address, which matches 8 members"),
        ({"seed": 2, "inv_temp": 3}, "one of seed=2,discount=0.9,inv_temp=3; seed=2,discount=0.99,inv_temp=3$"),
        ({"seed": 7}, "got seed=7, which no member has: expected one of seed=1,discount=0.9,inv_temp=0.3; "),
        ({"lr": 1e-3}, "members do not differ in lr: expected seed, discount, inv_temp"),
        ({"member": "seed 2"}, "member=seed 2 is not an address"),
        ({"member": "1"}, "member=1 is not an address: expected e.g. seed=2,inv_temp=3, or an integer"),
        ({"member": "seed=2,seed=1"}, "names seed twice"),
        ({"member": 8}, "expected 0 to 7"),
        ({"member": -1}, "expected 0 to 7"),
        ({"member": 1.5}, "got member=1.5: expected an integer, or an address"),
        ({"member": True}, "got member=True: expected an integer, or an address"),
        ({"member": [1]}, r"got member=\[1\]: expected an integer, or an address"),
        ({"member": 0, "seed": 2}, "got member=0 and seed=2, which no member has"),
        ({"seed": "2"}, "seed='2' is out of range: expected a number"),
        ({"seed": None}, "seed=None is out of range: expected a number"),
        ({"inv_temp": [3]}, r"inv_temp=\[3\] is out of range: expected a number"),
    ],
)
def test_an_address_that_is_not_of_one_member_is_refused(
    address: dict[str, Any], message: str, grid: RunResult
) -> None:
    with pytest.raises(QamError, match=message):
        qam_torch.load_policy(last(grid), **address)


@pytest.mark.slow
def test_evaluation_of_one_member(grid: RunResult, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(last(grid)), "--episodes=1", "--workers=0"]
    assert main([*words, "--member=seed=1,inv_temp=3,discount=0.99"]) == 0
    *_, heading, row = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["seed", "discount", "inv_temp"] and row.split()[:3] == ["1", "0.99", "3"]
    assert main([*words, "--member=inv_temp=3"]) == 1
    assert "which matches 4 members" in capsys.readouterr().err


@pytest.mark.slow
def test_the_directory_is_named_by_the_grid() -> None:
    config = qam_torch.compose(["experiment=quickstart", *GRID, "on_divergence=freeze"])
    assert config.run_name.endswith("/qam/population.discount=[0.9,0.99],population.inv_temp=[0.3,3]/seeds1-2")


MISTAKES = {
    "population.flow_steps=[5,10]": r"choose from discount, inv_temp, lr, .* or make a run for each value",
    "population.inv_tmep=[1,2]": r"population.inv_tmep cannot differ .*target_update_rate$",
    "population.inv_temp=3": "expected a list of different numbers",
    "population.inv_temp=[3,3]": "expected a list of different numbers",
    "population.inv_temp=[]": "expected a list of different numbers",
    "population.inv_temp=[a,b]": "expected a list of different numbers",
    "population.inv_temp=[0,1]": "all zero .* or all positive",
    "population.lr=[0.1,-1]": "expected a number > 0",
    "population.lr=[1e-3,inf]": "expected a list of different numbers",
    "algo.lr=1e400": "algo.lr=inf is out of range: expected a finite number",
    "population=null": "population=None is out of range",
    "offline_steps={a:1}": "offline_steps={'a': 1} is out of range",
    "on_divergence={a:1}": "on_divergence={'a': 1} is out of range",
    "~population": "~population removes a key that every run needs: give it a value instead",
    "~offline_steps": "~offline_steps removes a key",
    "~data.fraction": "~data.fraction removes a key",
    "on_divergence=maybe": "expected stop or freeze",
}


@pytest.mark.slow
@pytest.mark.parametrize("word", list(MISTAKES))
def test_a_grid_that_makes_no_sense(word: str) -> None:
    with pytest.raises(QamError, match=MISTAKES[word]):
        read_settings(qam_torch.compose(["experiment=quickstart", word]))


@pytest.mark.slow
def test_a_list_without_its_end_is_reported_as_it_was_given() -> None:
    with pytest.raises(QamError, match=r"^cannot read 'population.inv_temp=\[1,2' "):
        qam_torch.compose(["population.inv_temp=[1,2"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("population.lr=1e-3,1e-4", r"^'population.lr=1e-3,1e-4' gives several values: add -m .* write a list as"),
        ("population=[1,2]", r"^cannot compose the configuration \(Error merging override population=\[1,2\]\)"),
    ],
)
def test_a_grid_is_reported_as_it_was_given(word: str, message: str) -> None:
    with pytest.raises(QamError, match=message):
        qam_torch.compose(["experiment=quickstart", word])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "message"),
    [("[1,2,3]", "one for each of 2 seeds"), ("[1,2]", "population.lr=.* set the same value")],
)
def test_a_list_for_the_seeds_and_a_grid(values: str, message: str) -> None:
    words = ["experiment=quickstart", "seeds=[1,2]", f"algo.lr={values}"]
    grid = "population.inv_temp=[1,3]" if "1,2,3" in values else "population.lr=[1e-3,1e-4]"
    with pytest.raises(QamError, match=message):
        read_settings(qam_torch.compose([*words, grid]))


# One member is lost

LOST, AT = 2, 11
LOSING = (
    "seeds=[1,2]",
    "population.inv_temp=[0.3,3]",
    "checkpoint_every=10",
    "updates_per_step=1",
    "precision=float64",
    "eval_episodes=1",
)


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """spoil() makes a reward of one member's batch of one update infinite."""
    update = small_runs.recorded

    def spoilt(algorithm: Algorithm, batch: Batch, noise: Noise, diagnose: bool = False) -> dict[str, torch.Tensor]:
        if algorithm.trainer.global_step == AT - 1:
            batch = batch._replace(rewards=batch.rewards.clone())
            batch.rewards[LOST, 3] = float("inf")
        return update(algorithm, batch, noise, diagnose)

    return lambda: monkeypatch.setattr(small_runs, "recorded", spoilt)


@pytest.mark.slow
def test_it_stops_the_run_and_the_rest_can_go_on_without_it(
    tiny_fit: Fit, tmp_path: Path, spoil: Callable[[], None]
) -> None:
    sound = tiny_fit(tmp_path / "sound", *LOSING, "offline_steps=20", "on_divergence=freeze")
    spoil()
    words = [tmp_path / "run", *LOSING, "offline_steps=20"]
    with pytest.raises(DivergedError) as error:
        tiny_fit(*words)
    message = str(error.value)
    assert "training diverged: infinite or NaN gradient of seed=1,inv_temp=3 at update 11; lower algo.lr" in message
    assert "resume=auto on_divergence=freeze" in message and "last.ckpt (update 10)" in message
    rest = tiny_fit(*words, "resume=auto", "on_divergence=freeze")
    assert [member.get("diverged") for member in rest.summary["members"]] == [None, None, AT, None]
    assert read_checkpoint(last(rest))["qam_torch"]["diverged"] == [None, None, AT, None]
    for name, value in rest.algorithm.state_dict().items():  # type: ignore[union-attr]
        expected = sound.algorithm.state_dict()[name]  # type: ignore[union-attr]
        torch.testing.assert_close(value[[0, 1, 3]], expected[[0, 1, 3]], rtol=1e-9, atol=1e-11, msg=name)
        assert value.isfinite().all()


@pytest.mark.slow
@pytest.mark.usefixtures("unevaluated")
def test_a_run_with_a_frozen_member_continues_bit_for_bit(
    tiny_fit: Fit, tmp_path: Path, spoil: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    spoil()
    words = [*LOSING, "on_divergence=freeze", "log_every=4", "eval_every=20"]
    straight = tiny_fit(tmp_path / "straight", *words, "offline_steps=24", plots=True)
    assert "seed=1,inv_temp=3 diverged at update 11 and is frozen" in capsys.readouterr().out
    tiny_fit(tmp_path / "run", *words, "offline_steps=16")
    tiny_fit(tmp_path / "run", *words, "offline_steps=24", "resume=auto")
    for part in ("divergence", "state_dict", "optimizer_states", "noise"):
        assert_equal(checkpoint(straight.directory, "last")[part], checkpoint(tmp_path / "run", "last")[part], part)
    found = read_metrics(straight.directory / "metrics.csv")
    for p in range(4):
        own, late = found["member"] == p, found["update"] >= AT
        assert np.isnan(found["critic/loss"][own]).tolist() == (late[own] & (p == LOST)).tolist()
        assert (found["diverged"][own & late] == AT).all() == (p == LOST)
        assert np.isfinite(found["evaluation/return"][own]).sum() == 2
    assert (straight.directory / "plots" / "success.png").exists()


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: Any) -> None:
        raise error

    return fail


@pytest.mark.slow
@pytest.mark.usefixtures("unevaluated")
def test_a_frozen_member_is_not_taken_up_again_without_a_word(
    tiny_fit: Fit, tmp_path: Path, spoil: Callable[[], None]
) -> None:
    spoil()
    tiny_fit(tmp_path / "run", *LOSING, "offline_steps=16", "on_divergence=freeze")
    before = (tmp_path / "run" / "config.yaml").read_text()
    message = r"holds members that have diverged \(seed=1,inv_temp=3\): give on_divergence=freeze"
    with pytest.raises(QamError, match=message):
        tiny_fit(tmp_path / "run", *LOSING, "offline_steps=24", "resume=auto")
    assert (tmp_path / "run" / "config.yaml").read_text() == before
    online = [*LOSING, "online_steps=8", "start_training=6", f"init_from={tmp_path / 'run'}"]
    with pytest.raises(QamError, match=message):
        tiny_fit(tmp_path / "online", *online)
    assert not (tmp_path / "online" / "checkpoints").exists()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):  # before its first own checkpoint
        patch.setattr(run, "train", raising(KeyboardInterrupt()))
        tiny_fit(tmp_path / "begun", *online, "on_divergence=freeze")
    assert evaluate(tmp_path / "begun", episodes=1, workers=0).returns.shape == (4, 1)
    rest = tiny_fit(tmp_path / "online", *online, "on_divergence=freeze")
    assert [member.get("diverged") for member in rest.summary["members"]] == [None, None, AT, None]


@pytest.mark.slow
@pytest.mark.usefixtures("unevaluated")
def test_stopping_tells_the_very_update_however_many_a_step_makes(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the gradient overflows once, in the third of five updates, and clipping makes a step of zero of it."""
    update, calls = small_runs.recorded, iter(range(1, 1000))

    def spoilt(algorithm: Algorithm, batch: Batch, noise: Noise, diagnose: bool = False) -> dict[str, torch.Tensor]:
        if next(calls) == 13:
            batch = batch._replace(rewards=batch.rewards.clone())
            batch.rewards[1] = 3e19
        return update(algorithm, batch, noise, diagnose)

    monkeypatch.setattr(small_runs, "recorded", spoilt)
    words = [
        "seeds=[1,2]",
        "offline_steps=20",
        "updates_per_step=5",
        "log_every=20",
        "eval_every=20",
        "checkpoint_every=20",
    ]
    with pytest.raises(DivergedError, match="infinite or NaN gradient of seed=2 at update 13;"):
        tiny_fit(tmp_path / "run", *words)
    assert not list((tmp_path / "run" / "checkpoints").glob("*")), "nothing was saved after it"
    assert not (tmp_path / "run" / "metrics.csv").exists(), "nor evaluated and logged"


@pytest.mark.slow
def test_a_lost_member_does_nothing_in_evaluation_and_is_no_policy(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step far too large makes parameters with which even actions overflow."""
    filmed = []
    monkeypatch.setattr(
        video, "render_episodes", lambda actor, *rest, **named: filmed.append(actor(np.ones((1, 1, 2))))
    )
    run = tiny_fit(tmp_path / "run", "seeds=[1]", "population.lr=[1e30,1e-3]", "on_divergence=freeze")
    outcome = evaluate(last(run), episodes=1, workers=0, video=str(tmp_path / "film.gif"))
    assert np.isfinite(outcome.returns).all() and not filmed[0].any()
    sound = qam_torch.load_policy(last(run), lr=1e-3)
    assert np.isfinite(sound(np.ones(2))).all()
    with pytest.raises(QamError, match=r"^the policy returned a non-finite action, as can happen after training"):
        qam_torch.load_policy(last(run), lr=1e30)(np.ones(2))
    with pytest.raises(QamError, match=r"observation is not finite at \[1\]"):
        sound(np.array([0.0, np.nan]))


@pytest.mark.slow
def test_nobody_is_left(tiny_fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(
        DivergedError, match="no member is left: seed=1,lr=1e.30 at update 2; seed=1,lr=1e.29 at update"
    ):
        tiny_fit(tmp_path / "run", "seeds=[1]", "population.lr=[1e30,1e29]", "on_divergence=freeze")


@pytest.mark.slow
@pytest.mark.usefixtures("unevaluated")
def test_a_frozen_member_acts_online_and_the_others_are_what_they_would_be(
    tiny_fit: Fit, tmp_path: Path, spoil: Callable[[], None]
) -> None:
    words = [*LOSING, "on_divergence=freeze", "offline_steps=6", "online_steps=16", "start_training=4"]
    sound = tiny_fit(tmp_path / "sound", *words)
    spoil()
    lost = tiny_fit(tmp_path / "lost", *words)
    states = [result.algorithm.state_dict() for result in (sound, lost)]  # type: ignore[union-attr]
    assert lost.summary["members"][LOST]["diverged"] == AT
    for name, value in states[0].items():
        assert torch.equal(value[[0, 1, 3]], states[1][name][[0, 1, 3]]), name
