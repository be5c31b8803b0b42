"""How the update runs: compiled where torch.compile works, and captured where it is asked to be and can be."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qam_torch.training import update
from qam_torch.training.update import WORTH_COMPILING, UpdateSettings, compilation_problem
from qam_torch.types import QamError


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Exception | None], None]]:
    """compiler(error): torch.compile gives functions that raise the error when they are first called."""

    def use(error: Exception | None) -> None:
        def compile(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
            def called(*arguments: Any) -> Any:
                if error is not None:
                    raise error
                return function(*arguments)

            return called

        monkeypatch.setattr(torch, "compile", compile)

    monkeypatch.setenv("CXX", "g++")
    compilation_problem.cache_clear()
    yield use
    compilation_problem.cache_clear()


def compiles(choice: bool | str, updates: int = WORTH_COMPILING) -> bool:
    algorithm: Any = SimpleNamespace()
    settings = UpdateSettings(64, "float32", choice, "auto", None, "stop")
    settings.apply(algorithm, torch.device("cpu"), updates)
    return bool(algorithm.compile_update)


def test_compiled_where_that_works(compiler: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    compiler(None)
    assert compiles("auto") and compiles(True)
    assert not compiles("auto", WORTH_COMPILING - 1) and compiles(True, updates=0) and not compiles(False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/dev/null/cache"), "Not a directory: '/dev/null/cache'"),
        (RuntimeError("failed to map segment\n\nSet TORCHDYNAMO_VERBOSE=1"), "failed to map segment"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_not_compiled_where_that_fails(
    error: Exception, message: str, compiler: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    compiler(error)
    assert not compiles("auto")
    out = capsys.readouterr().out
    assert out.startswith("the update is not compiled") and out.endswith(f"{message}\n")
    with pytest.raises(QamError, match="compile=true, but torch.compile fails here .*: give compile=false"):
        compiles(True)
    assert not compiles(False)


GPU = torch.device("cuda", 0)


def apply(device: torch.device, **keys: Any) -> Any:
    algorithm: Any = SimpleNamespace()
    taken = {"compile": "auto", "capture": "auto", **keys}
    UpdateSettings(64, "float32", num_threads=None, on_divergence="stop", **taken).apply(
        algorithm, device, WORTH_COMPILING
    )
    return algorithm


def test_compiled_on_a_gpu_only_where_asked_for_and_without_gpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", "")
    asked: list[str] = []
    monkeypatch.setattr(update, "compilation_problem", lambda device: asked.append(device))
    assert apply(GPU).compile_update is False and asked == []
    assert apply(GPU, compile=True).compile_update is True and asked == ["cuda"]
    monkeypatch.setattr(update, "compilation_problem", lambda device: "no Triton")
    with pytest.raises(QamError, match="compile=true, but torch.compile fails here .no Triton.: give compile=false"):
        apply(GPU, compile=True)


@pytest.mark.parametrize("capture", ["auto", True, False])
def test_capture_is_passed_on(capture: bool | str) -> None:
    assert apply(GPU, capture=capture).capture == capture


def test_capture_is_not_demanded_of_a_cpu(compiler: Callable[..., None]) -> None:
    compiler(None)
    with pytest.raises(QamError, match="capture=true needs a GPU with CUDA, but this run is on the CPU: give capture="):
        apply(torch.device("cpu"), capture=True)
    with pytest.raises(QamError, match="capture=no is out of range: expected true, false or auto"):
        apply(GPU, capture="no")
