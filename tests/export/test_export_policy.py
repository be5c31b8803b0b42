"""Exported policies choose what `load_policy` chooses, and say what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open

import qam_torch
from qam_torch.algorithms import BAM, CGQL, QAM, Algorithm, NamedNoise
from qam_torch.algorithms.core.signatures import annotations_of
from qam_torch.export import export_policy
from qam_torch.export.program import PolicyProgram
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.training.description import describe
from qam_torch.types import Draw, Noise, QamError, differentiates
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make

OBS, A, H, N = 3, 1, 3, 3  # Pendulum's sizes
ROWS = 1000
RUN = {
    "source": "npz", "env_name": "Pendulum-v1", "env_spec": "Pendulum-v1", "max_episode_steps": 200,
    "data": "hash of the data", "normalize": "standard", "execute_steps": 2,
}  # fmt: skip
MEAN, STD = torch.tensor([0.1, -0.2, 1.0]), torch.tensor([0.7, 0.7, 3.0])
GUIDED = {"CGQL", "CGQLMSE", "CGQLLinex"}


def checkpoint_of(path: Path, kind: type[Algorithm], dtype: torch.dtype = torch.float64, **options: Any) -> Path:
    """A checkpoint of untrained networks for Pendulum, of seeds 5 and 6 unless others are given."""
    steps = {name: 2 for name in ("flow_steps", "diffusion_steps") if name in annotations_of(kind)}
    arguments = {
        "observation_dim": OBS, "action_dim": A, "seeds": [5, 6], "horizon_length": H, "num_qs": 3,
        "actor_hidden_dims": [8, 8], "value_hidden_dims": [8, 8], "best_of_n": N, **steps, **options,
    }  # fmt: skip
    algorithm = kind(**arguments).to(dtype)
    algorithm.normalize(MEAN, STD)
    section = {"step": 7, "update": 7, "offline_steps": 7, "diverged": [None] * algorithm.members}
    content = {**describe(algorithm, arguments, RUN, {}), **section}
    torch.save({"state_dict": algorithm.state_dict(), SECTION: content}, path)
    return path


def inputs_of(policy: Any, described: dict[str, Any], states: np.ndarray) -> dict[str, np.ndarray]:
    """What a program is given for the noise that the loaded policy draws at its first call."""
    dtype = policy.algorithm.network_dtype
    rows = len(states)
    draws = policy.algorithm.policy.draws(rows)
    drawn = NamedNoise(draws, (0,), "act", dtype=dtype).sample(1)
    found = {"observations": torch.as_tensor(states, dtype=dtype).numpy()}
    for name, draw in drawn.items():
        axis = next(i for i, size in enumerate(draw.shape) if size in (rows, rows * N))
        apart = draw.unflatten(axis, (rows, -1)).movedim(axis, 0)  # (B, 1, 1, .., N, ..)
        found[name] = apart.reshape(rows, *described[name]["shape"][1:]).numpy()
    return found


def run_onnx(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def run_pt2(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    program = torch.export.load(path).module()
    with torch.no_grad():
        return program(*map(torch.from_numpy, inputs.values())).numpy()


def metadata(path: Path) -> dict[str, Any]:
    if path.suffix == ".onnx":
        (entry,) = onnx.load(path).metadata_props
        return json.loads(entry.value)
    if path.suffix == ".pt2":
        files = {"qam_torch.json": ""}
        torch.export.load(path, extra_files=files)
        return json.loads(files["qam_torch.json"])
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["qam_torch"])


def assert_same_choice(policy: Any, states: np.ndarray, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal row by row, to 1e-9 in float64 and relative to the row's largest number in float32; ties may differ."""
    double = policy.algorithm.network_dtype == torch.float64
    assert found.shape == expected.shape and found.dtype == expected.dtype
    off = np.abs(found - expected).max(axis=(1, 2))
    different = off > (1e-9 if double else 2e-5 * np.abs(expected).max(axis=(1, 2)))
    if different.any():  # another candidate of the same value
        algorithm = policy.algorithm.double()
        seen = algorithm.normalization(torch.as_tensor(states[different])[None])
        values = [
            algorithm.policy.score(
                algorithm.network("critic")(seen, torch.as_tensor(one[different].reshape(1, -1, H * A)).double())
            )
            for one in (found, expected)
        ]
        torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
    assert different.mean() < 0.01


CASES: dict[str, tuple[type[Algorithm], dict[str, Any]]] = {
    **{name: (kind_of(name), {}) for name in EVERY_METHOD if name not in GUIDED},
    "one candidate": (QAM, {"best_of_n": 1}),
    "residual": (QAM, {"residual": True}),
    "layer norm": (BAM, {"actor_layer_norm": True}),
}


ACT_LIKE_OTHERS = {"BAM", "DAC", "FAWAC", "FBRAC", "FEdit", "FQL"}
"""Methods whose action selection is that of another one here; writing an ONNX file takes long."""


@pytest.mark.slow
@pytest.mark.parametrize(("case", "dtype"), [("QAM", torch.float32), *((name, torch.float64) for name in CASES)])
def test_exported_programs_choose_what_the_loaded_policy_chooses(case: str, dtype: torch.dtype, tmp_path: Path) -> None:
    kind, options = CASES[case]
    path = checkpoint_of(tmp_path / "last.ckpt", kind, dtype, **options)
    states = np.random.default_rng(0).normal(MEAN, 2 * STD, (ROWS, OBS))
    expected = qam_torch.load_policy(path, seed=6)(states)
    assert np.abs(expected).max() > 0.01
    for format, run in (("pt2", run_pt2), ("onnx", run_onnx))[: 1 if case in ACT_LIKE_OTHERS else 2]:
        file = export_policy(path, format, tmp_path / f"policy.{format}", seed=6)
        policy = qam_torch.load_policy(path, seed=6)
        inputs = inputs_of(policy, metadata(file)["noise"], states)
        assert_same_choice(policy, states, run(file, inputs), expected)
        one = {name: values[:1] for name, values in inputs.items()}
        assert_same_choice(policy, states[:1], run(file, one), expected[:1])


@pytest.mark.slow
def test_n_step_mode_gives_single_actions(tmp_path: Path) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM, action_chunking=False, best_of_n=1)
    file = export_policy(path, "pt2", member=0)
    assert metadata(file)["chunk_steps"] == 1 and metadata(file)["horizon_length"] == H
    states = np.random.default_rng(0).normal(size=(4, OBS))
    policy = qam_torch.load_policy(path, seed=5)
    expected = policy(states)
    found = run_pt2(file, inputs_of(policy, metadata(file)["noise"], states))
    assert found.shape == (4, 1, A)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["pt2", "onnx", "safetensors"])
def test_a_file_describes_its_policy(format: str, tmp_path: Path) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM, torch.float32, inv_temp=[1.0, 0.3])
    file = export_policy(path, format, member="seed=6,inv_temp=0.3")
    assert file == tmp_path / f"last.seed=6,inv_temp=0.3.{format}"
    found = metadata(file)
    assert found["method"] == "QAM" and found["environment"]["env_name"] == "Pendulum-v1"
    assert (found["horizon_length"], found["chunk_steps"], found["execute_steps"]) == (H, H, 2)
    assert found["action_space"] == {"shape": [A], "low": [-2.0], "high": [2.0]}
    assert found["observation_space"]["shape"] == [OBS] and found["observation_space"]["high"] == [1.0, 1.0, 8.0]
    np.testing.assert_allclose(found["normalization"]["mean"], MEAN, rtol=1e-6)
    np.testing.assert_allclose(found["normalization"]["std"], STD, rtol=1e-6)
    origin = found["provenance"]
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["member"] == {"seed": 6, "inv_temp": 0.3} and origin["update"] == 7
    assert origin["trained_with"] == qam_torch.__version__ and origin["exported_with"]["torch"] == torch.__version__
    if format != "safetensors":
        assert found["noise"] == {"noise": {"shape": ["batch", N, H * A], "distribution": "standard normal"}}
        assert found["observations"] == {"shape": ["batch", OBS]} and found["dtype"] == "float32"


@pytest.mark.slow
def test_an_onnx_model_takes_any_number_of_observations(tmp_path: Path) -> None:
    file = export_policy(checkpoint_of(tmp_path / "last.ckpt", QAM), "onnx", member=0)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("observations", ["batch", OBS]), ("noise", ["batch", N, H * A])
    ]  # fmt: skip
    assert session.get_outputs()[0].name == "actions" and session.get_outputs()[0].shape == ["batch", H, A]


@pytest.mark.parametrize(("best_of_n", "used"), [(1, {"f_theta"}), (N, {"critic", "f_theta"})])
def test_a_program_has_the_networks_that_it_needs(best_of_n: int, used: set[str], tmp_path: Path) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM, best_of_n=best_of_n)
    state = torch.export.load(export_policy(path, "pt2", member=0)).state_dict
    assert {name.split(".")[1] for name in state if name.startswith("networks.")} == used
    assert not any(name.startswith("targets.") for name in state)


def test_safetensors_hold_the_weights_of_the_member(tmp_path: Path) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", CGQL)  # whose program cannot be exported
    file = export_policy(path, "safetensors", member=1)
    expected = qam_torch.load_policy(path, member=1).algorithm.state_dict()
    with safe_open(file, "pt") as saved:
        assert set(saved.keys()) == expected.keys()
        assert all(torch.equal(saved.get_tensor(name), value) for name, value in expected.items())


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_what_differentiates_as_it_acts_is_refused(name: str) -> None:
    algorithm = make(kind_of(name), best_of_n=2)
    assert differentiates(algorithm.policy) == (name in GUIDED)
    if name in GUIDED:
        with pytest.raises(QamError, match=f"the policy of {name} differentiates its critic to select actions"):
            PolicyProgram(algorithm, 2)


def test_what_torch_cannot_express_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reading:
        def draws(self, batch_size: int) -> dict[str, Draw]:
            return {"noise": Draw((batch_size, H * A))}

        def __call__(self, observations: torch.Tensor, noise: Noise) -> torch.Tensor:
            return noise["noise"] if observations.sum().item() > 0 else -noise["noise"]

    monkeypatch.setattr(QAM, "set_policy", lambda self, policy: setattr(self, "policy", Reading()))
    path = checkpoint_of(tmp_path / "last.ckpt", QAM)
    with pytest.raises(QamError, match="the policy cannot be exported .torch.export: .*: use --format safetensors"):
        export_policy(path, "pt2", member=0)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_mistakes_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint_of(tmp_path / "last.ckpt", QAM)
    with pytest.raises(QamError, match="format=tflite is out of range: expected pt2, onnx, safetensors"):
        export_policy(path, "tflite")
    with pytest.raises(QamError, match="seed=5"):
        export_policy(path, "pt2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(QamError, match="format onnx requires the package onnx: pip install .*onnxscript"):
        export_policy(path, "onnx", member=0)
