"""How the reference implementation's names map to the library's: modules, parameters, metrics, options.

This table is all that the parity check knows about the methods.
"""

from __future__ import annotations

import re
from typing import Any

from qam_torch.algorithms import QAM, QAME, QAMF, Algorithm
from qam_torch.types import QamError

__all__ = ["CONSTANT_MODULES", "METRICS", "algorithm_for", "parameter_name"]

AGENTS = ("qam",)
"""The reference's names of methods; its one agent `qam` is QAM, QAM-F or QAM-E by its options."""

MODULES = {
    "critic": "critic",
    "actor_slow": "f_beta",
    "actor_fast": "f_theta",
    "one_step_actor": "one_step",
    "edit_actor": "edit",
    "edit_alpha": "edit_alpha",
}

CONSTANT_MODULES = ("target_actor_fast",)
"""Modules the reference keeps but never uses: all the check can do is see that they never move."""

PARTS = [
    (r"(?:mlp|value_net)\.(.*)", r"mlp.\1"),
    (r"MLP_0\.(.*)", r"trunk.\1"),
    (r"OutputDenseMean\.(.*)", r"mean.Dense_0.\1"),
    (r"OutputDenseLogStd\.(.*)", r"log_std.Dense_0.\1"),
]
LEAVES = [
    (r"Dense_(\d+)\.kernel", r"kernels.\1"),
    (r"Dense_(\d+)\.bias", r"biases.\1"),
    (r"LayerNorm_(\d+)\.scale", r"scales.\1"),
    (r"LayerNorm_(\d+)\.bias", r"shifts.\1"),
]

METRICS = {
    "critic/critic_loss": "critic/loss",
    "critic/q_mean": "critic/q_mean",
    "critic/q_max": "critic/q_max",
    "critic/q_min": "critic/q_min",
    "actor/flow_loss": "behavior/loss",
    "actor/adj_loss": "adjoint/loss",
    "actor/fast_loss": "adjoint/loss",
    "actor/adj_mean": "adjoint/terminal_mean",
    "actor/adj_std": "adjoint/terminal_std",
    "actor/adj_max": "adjoint/terminal_max",
    "actor/fql_distill_loss": "one_step/distillation_loss",
    "actor/fql_q_loss": "one_step/q_loss",
    "actor/edit_q_loss": "edit/q_loss",
    "actor/edit_entropy_loss": "edit/entropy_loss",
    "actor/edit_entropy": "edit/entropy",
    "actor/edit_alpha_loss": "edit/alpha_loss",
    "actor/edit_alpha": "edit/alpha",
}

OPTIONS = {"tau": "target_update_rate"}
SIZES = {"agent_name", "batch_size", "action_dim", "ob_dims", "edit_target_entropy"}
"""Entries of a recorded configuration that are no options of a constructor: sizes and derived numbers."""


def parameter_name(reference: str) -> str:
    """'target_critic.value_net.Dense_0.kernel' -> 'targets.critic.mlp.kernels.0'."""
    module, _, rest = reference.partition(".")
    root = "targets" if module.startswith("target_") else "networks"
    for pattern, replacement in (*PARTS, *LEAVES):
        rest = re.sub(pattern, replacement, rest)
    return f"{root}.{MODULES[module.removeprefix('target_')]}.{rest}"


def algorithm_for(case: dict[str, Any]) -> Algorithm:
    """The library's ordinary class for a recorded case, with one member.

    Raises QamError when the case is of a method that is not here.
    """
    if case["agent"] not in AGENTS:
        raise QamError(f"the case's method '{case['agent']}' is unknown: expected {' or '.join(AGENTS)}")
    config = case["config"]
    options = {OPTIONS.get(name, name): value for name, value in config.items() if name not in SIZES}
    variants: dict[str, type[Algorithm]] = {"fql_alpha": QAMF, "edit_scale": QAME}
    chosen: type[Algorithm] = QAM
    for option, variant in variants.items():
        if options.get(option):
            chosen = variant
        else:
            options.pop(option, None)
    if chosen is not QAME:
        options.pop("edit_target_entropy_multiplier", None)
    options["horizon_length"] = case["horizon_length"]
    return chosen(observation_dim=case["obs_dim"], action_dim=case["action_dim"], seeds=(0,), **options)
