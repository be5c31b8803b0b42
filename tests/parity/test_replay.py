"""`qam-verify` passes on what is right, whatever its size, and fails on anything that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qam_torch.cli.verify import main
from qam_torch.parity.method_names import METHODS
from qam_torch.parity.replay import verify_case
from tests.helpers.plain_qam import fresh_case, replay
from tests.helpers.plain_rql import fresh_rql_case, replay_rql

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.npz"))
QAM_FAMILY = [path for path in GOLDEN if path.stem.startswith("qam")]


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as npz:
        return {key: npz[key] for key in npz.files}


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)
    return path


def golden(name: str) -> dict[str, np.ndarray]:
    return load(Path(__file__).parents[1] / "golden" / f"{name}.npz")


def test_every_golden_case_passes(capsys: pytest.CaptureFixture[str]) -> None:
    recorded = {"qam", "qam_bc", "qam_e", "qam_f", "qam_nstep", "qam_options", "qam_residual"}
    others = {"sampler", "rql_h1", "rql_sampler"}
    assert {path.stem for path in GOLDEN} == recorded | (METHODS.keys() - {"qam_e", "qam_f"}) | others
    assert main([str(path) for path in GOLDEN]) == 0
    out = capsys.readouterr().out
    assert f"{len(GOLDEN)} of {len(GOLDEN)} cases" in out
    for path in GOLDEN:
        assert any(line.startswith(f"{path.stem} ") and " ok " in line for line in out.splitlines())
    for group in ("targets moved", "losses", "gradients", "xs", "lean_adjoints", "parameters", "actions", "windows"):
        assert group in out


@pytest.mark.parametrize("path", QAM_FAMILY, ids=lambda path: path.stem)
def test_the_obvious_implementation_reproduces_the_golden_cases(path: Path) -> None:
    arrays = load(path)
    computed = replay(json.loads(str(arrays["case_json"])), arrays)
    inputs = ("params0/", "batch", "draw", "act/obs", "act/noise", "act/edit", "case_json")
    recorded = {key for key in arrays if not key.startswith(inputs)}
    assert recorded <= computed.keys()
    for key in recorded:
        scale = max(np.abs(arrays[key]).max(), 1e-300)
        assert np.abs(computed[key].reshape(arrays[key].shape) - arrays[key]).max() / scale < 1e-9, key


FRESH: dict[str, dict[str, Any]] = {
    "qam": {},
    "one flow step, one critic, one row": {"flow_steps": 1, "num_qs": 1, "batch_size": 1, "horizon_length": 1},
    "other sizes": {"flow_steps": 7, "num_qs": 5, "horizon_length": 4, "obs_dim": 6, "action_dim": 3},
    "deep": {"actor_hidden_dims": [5, 6, 7], "value_hidden_dims": [9], "actor_layer_norm": True},
    "n-step, best of 3": {"action_chunking": False, "best_of_n": 3, "horizon_length": 3},
    "residual": {"residual": True, "flow_steps": 4},
    "other switches": {"clip_adj": False, "use_target_grad": False, "target_actor": False, "value_layer_norm": False},
    "unclipped, risk neutral": {"clip_grad": False, "rho": 0.0, "discount": 1.0},
    "behavior cloning": {"inv_temp": 0.0},
    "qam_f": {"fql_alpha": 3.0, "flow_steps": 5, "num_qs": 3},
    "qam_f best of 2": {"fql_alpha": 300.0, "best_of_n": 2, "horizon_length": 1},
    "qam_e": {"edit_scale": 0.2, "flow_steps": 2, "num_qs": 4, "horizon_length": 3},
    "qam_e best of 3": {"edit_scale": 0.9, "best_of_n": 3, "edit_target_entropy_multiplier": 1.0},
}


@pytest.mark.parametrize(("number", "changes"), enumerate(FRESH.values()), ids=list(FRESH))
def test_cases_of_other_sizes_and_seeds_pass(number: int, changes: dict[str, Any], tmp_path: Path) -> None:
    report = verify_case(save(tmp_path / "fresh.npz", fresh_case("fresh", seed=100 + number, **changes)))
    assert report.passed(1e-9), (dict(report.errors), report.unchecked)


@pytest.mark.parametrize("name", ["rql", "rql_h1"])
def test_the_obvious_implementation_reproduces_rql(name: str) -> None:
    arrays = golden(name)
    computed = replay_rql(json.loads(str(arrays["case_json"])), arrays)
    inputs = ("params0/", "agent_batch", "draw", "act/obs", "act/noise", "act_online/obs", "act_online/noise", "case_")
    recorded = {key for key in arrays if not key.startswith(inputs)}
    assert recorded <= computed.keys()
    for key in recorded:
        scale = max(np.abs(arrays[key]).max(), 1e-300)
        assert np.abs(computed[key].reshape(arrays[key].shape) - arrays[key]).max() / scale < 1e-9, key


FRESH_RQL: dict[str, dict[str, Any]] = {
    "rql": {},
    "one flow step, one step": {"flow_steps": 1, "horizon_length": 1, "batch_size": 2},
    "other sizes": {"flow_steps": 7, "ensemble_ct": 5, "horizon_length": 6, "obs_dim": 5, "action_dim": 3},
    "deep": {"actor_hidden_dims": [5, 6, 7], "value_hidden_dims": [9], "actor_layer_norm": True, "layer_norm": False},
    "other numbers": {"expectile": 0.5, "rho": 0.0, "discount": 1.0, "alpha": 0.0, "ema": 0.0, "tau": 1.0},
}


@pytest.mark.parametrize(("number", "changes"), enumerate(FRESH_RQL.values()), ids=list(FRESH_RQL))
def test_cases_of_rql_of_other_sizes_and_seeds_pass(number: int, changes: dict[str, Any], tmp_path: Path) -> None:
    report = verify_case(save(tmp_path / "fresh.npz", fresh_rql_case("fresh", seed=200 + number, **changes)))
    assert report.passed(1e-9), (dict(report.errors), report.unchecked)


DAMAGED = [
    ("qam", "params0/critic.value_net.Dense_1.kernel"),
    ("qam", "params0/target_critic.value_net.LayerNorm_0.scale"),
    ("qam", "params0/target_actor_slow.mlp.Dense_0.bias"),
    ("qam", "params0/target_actor_fast.mlp.Dense_0.bias"),
    ("qam", "batch0/observations"),
    ("qam", "batch2/actions"),
    ("qam", "draw0/next_noise"),
    ("qam", "draw1/sde_x0"),
    ("qam", "draw2/sde_noise"),
    ("qam", "info1/critic/critic_loss"),
    ("qam", "info2/grad/norm"),
    ("qam", "grad0/actor_fast.mlp.Dense_1.kernel"),
    ("qam", "trace0/xs"),
    ("qam", "trace0/lean_adjoints"),
    ("qam", "trace0/ts"),
    ("qam", "params1/target_critic.value_net.Dense_0.bias"),
    ("qam", "params2/actor_slow.mlp.Dense_2.kernel"),
    ("qam", "params3/target_actor_fast.mlp.Dense_0.kernel"),
    ("qam", "act/observations"),
    ("qam", "act/noise"),
    ("qam", "act/actions"),
    ("qam_e", "draw0/edit_noise"),
    ("qam_e", "draw1/next_edit_noise"),
    ("qam_e", "params0/edit_alpha.log_value"),
    ("qam_e", "act/edit_noise"),
    ("qam_f", "draw2/onestep_noise"),
    ("qam_f", "info0/actor/fql_distill_loss"),
    ("bam", "info1/actor/bc_loss"),
    ("cgql_linex", "info1/critic/exp_bias"),
    ("dac", "act/ddpm_noise"),
    ("dsrl", "act/latent_noise"),
    ("fql", "info2/actor/actor_loss"),
    ("ifql", "params0/value.value_net.Dense_0.kernel"),
    ("qsm", "params0/actor.FourierFeatures_0.kernel"),
    ("rebrac", "params2/target_actor.mean_net.bias"),
    ("rlpd", "info0/actor/bc_loss"),
    ("rql", "params0/target_value.value_net.Dense_0.kernel"),
    ("rql", "params2/actor.log_std_net.kernel"),
    ("rql", "params3/target_actor.mean_net.bias"),
    ("rql", "agent_batch1/actions"),
    ("rql", "batch0/masks"),
    ("rql", "batch2/valid"),
    ("rql", "draw0/reverse_d_uniform"),
    ("rql", "draw1/reverse_d_integers"),
    ("rql", "info1/total_loss"),
    ("rql", "trace0/fs"),
    ("rql", "trace0/td_target"),
    ("rql", "act/actions"),
    ("rql", "act_online/noise"),
    ("rql_sampler", "data/masks"),
    ("rql_sampler", "starts"),
    ("rql_sampler", "window/valid"),
    ("rql_sampler", "agent_window/observations"),
    ("sampler", "data/rewards"),
    ("sampler", "data/terminals"),
    ("sampler", "starts"),
    ("sampler", "window/next_observations"),
    ("sampler", "window/masks"),
]


@pytest.mark.parametrize(("name", "key"), DAMAGED, ids=[f"{name}:{key}" for name, key in DAMAGED])
def test_one_changed_number_fails(name: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = golden(name)
    array = arrays[key].copy()
    flat = array.reshape(-1)
    first = 0
    if key.startswith("draw") and name.startswith("qam"):  # a row that enters the loss: not over an episode's end
        u = key[4]
        usable = (arrays[f"batch{u}/valid"][:, -1] > 0) & (arrays[f"batch{u}/masks"][:, -1] > 0)
        rows = array.shape[1] if "sde_noise" in key else array.shape[0]
        first = int(np.flatnonzero(usable)[0]) * (array[0].size // rows if "sde_noise" in key else array[0].size)
    if "edit_noise" in key and name == "qam_e":
        first += 2  # an edit that is not clipped away at the action box
    flat[first] = flat[first] + 1 if array.dtype.kind in "iu" else flat[first] * 1.01 + 1e-3
    arrays[key] = array
    assert main([str(save(tmp_path / f"{name}.npz", arrays))]) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out and "0 of 1 cases" in out


@pytest.mark.parametrize(
    "change",
    [{"batch_size": 5}, {"obs_dim": 5}, {"action_dim": 3}, {"horizon_length": 2}, {"updates": 2}, {"updates": 4},
     {"agent": "unknown"}],
    ids=str,
)  # fmt: skip
def test_a_changed_size_fails_in_a_sentence(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = golden("qam")
    case = json.loads(str(arrays["case_json"])) | change
    arrays["case_json"] = np.array(json.dumps(case))
    assert main([str(save(tmp_path / "qam.npz", arrays))]) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [{"inv_temp": 2.9}, {"lr": 1e-3}, {"tau": 0.01}, {"rho": 0.4}, {"discount": 0.9}, {"clip_grad": False},
     {"num_qs": 2}, {"flow_steps": 3}, {"mystery": 1}],
    ids=str,
)  # fmt: skip
def test_a_changed_option_fails(change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = golden("qam")
    case = json.loads(str(arrays["case_json"]))
    case["config"] |= change
    arrays["case_json"] = np.array(json.dumps(case))
    assert main([str(save(tmp_path / "qam.npz", arrays))]) == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [("cgql", {"separate": True}), ("qsm", {"beta_schedule": "linear"}), ("rlpd", {"init_temp": 2.0})],
    ids=lambda value: str(value),
)
def test_an_option_that_has_one_value_here_is_reported(
    name: str, change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = golden(name)
    case = json.loads(str(arrays["case_json"]))
    case["config"] |= change
    arrays["case_json"] = np.array(json.dumps(case))
    assert main([str(save(tmp_path / f"{name}.npz", arrays))]) == 1
    assert "is known here" in capsys.readouterr().out


def test_targets_that_move_at_another_update_fail(tmp_path: Path) -> None:
    arrays = golden("rebrac")
    arrays["full_update1"] = np.array(not arrays["full_update1"])
    report = verify_case(save(tmp_path / "rebrac.npz", arrays))
    assert report.errors["targets moved"] == 1 and not report.passed()


@pytest.mark.parametrize("key", ["info0/actor/mystery", "extra", "draw0/mystery", "grad1/unknown", "params7/x"])
def test_a_quantity_that_is_not_checked_fails(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = {**golden("qam"), key: np.ones(3)}
    assert main([str(save(tmp_path / "qam.npz", arrays))]) == 1
    assert key.rpartition("/")[2] in capsys.readouterr().out


@pytest.mark.parametrize("name", ["qam", "sampler"])
def test_nan_fails(name: str, tmp_path: Path) -> None:
    for key in [key for key in golden(name) if key.startswith(("act/", "trace0/xs", "window/", "info0/critic"))]:
        arrays = golden(name)
        arrays[key] = np.array(arrays[key], dtype=np.float64)
        arrays[key].reshape(-1)[-1] = np.nan
        assert main([str(save(tmp_path / f"{name}.npz", arrays))]) == 1, key


def test_unreadable_files_are_reported_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (Path(__file__).parents[1] / "golden" / "qam.npz").read_bytes()
    (tmp_path / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("not an archive")
    arrays = golden("qam")
    del arrays["case_json"]
    save(tmp_path / "nocase.npz", arrays)
    save(tmp_path / "listcase.npz", {**arrays, "case_json": np.array("[1]")})
    names = ["truncated", "text", "nocase", "listcase", "missing"]
    assert main([str(tmp_path / f"{name}.npz") for name in names]) == 1
    out = capsys.readouterr().out
    for name in names:
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert "FAIL" in line
    assert "Traceback" not in out


def test_one_bad_case_among_good_ones_fails(tmp_path: Path) -> None:
    good = [str(path) for path in GOLDEN if path.stem in ("qam", "sampler")]
    assert main(good) == 0
    assert main([*good, str(tmp_path / "missing.npz")]) == 1
