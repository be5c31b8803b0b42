"""What a configuration asks of its suite."""

from __future__ import annotations

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from qam_torch.suites import Request

__all__ = ["request_of"]


def request_of(config: DictConfig) -> Request:
    """The keys `env.*`, `data.*` and `task` as plain values."""
    env, data = (cast("dict[str, Any]", OmegaConf.to_container(config[name], resolve=True)) for name in ("env", "data"))
    return Request(env, data, config.task)
