"""Map names of the reference implementation to those of the library.

This module has the names that methods share. `parity.method_names` has one `Names` per method.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from qam_torch.algorithms import Algorithm

__all__ = ["ONE_DRAW_MORE", "OPTIONS", "SIZES", "Names"]

PARTS = (
    (r"(?:mlp|value_net)\.(.*)", r"mlp.\1"),
    (r"MLP_0\.(.*)", r"trunk.\1"),
    (r"OutputDenseMean\.(.*)", r"mean.Dense_0.\1"),
    (r"OutputDenseLogStd\.(.*)", r"log_std.Dense_0.\1"),
)
LEAVES = (
    (r"Dense_(\d+)\.kernel", r"kernels.\1"),
    (r"Dense_(\d+)\.bias", r"biases.\1"),
    (r"LayerNorm_(\d+)\.scale", r"scales.\1"),
    (r"LayerNorm_(\d+)\.bias", r"shifts.\1"),
)

METRICS = {
    "critic/critic_loss": "critic/loss",
    "critic/q_mean": "critic/q_mean",
    "critic/q_max": "critic/q_max",
    "critic/q_min": "critic/q_min",
    "actor/flow_loss": "behavior/loss",
    "actor/bc_flow_loss": "behavior/loss",
    "actor/edit_q_loss": "edit/q_loss",
    "actor/edit_entropy_loss": "edit/entropy_loss",
    "actor/edit_entropy": "edit/entropy",
    "actor/edit_alpha_loss": "edit/alpha_loss",
    "actor/edit_alpha": "edit/alpha",
}
"""Reference metric -> library metric, for all methods."""

OPTIONS = {"tau": "target_update_rate"}
"""Reference option -> library option; all other options have the same name."""

SIZES = frozenset({"agent_name", "batch_size", "action_dim", "ob_dims", "edit_target_entropy"})
"""Entries of a recorded configuration that are not constructor options."""

CONSTANT_MODULES = ("target_actor_fast",)
"""Modules that the reference keeps but never uses; the check only verifies that they never change."""

ONE_DRAW_MORE = ("sde_noise", "ddpm_noise", "next_ddpm_noise")
"""Names of solver noise. The reference draws one more for the last step, and does not use it."""


class Names(NamedTuple):
    """The names of one method. Mappings go from the reference's name to the library's.

    Attributes:
        kind: algorithm class.
        modules: module -> network.
        options: option -> constructor argument.
        metrics: metric -> library metric. "-" negates it, and " + " adds several.
        totals: metric -> networks. The metric is the sum of the losses that train these networks.
        constants: metric -> its constant value.
        parts: patterns of parameter names inside a module, applied before the shared ones. In a replacement, <depth> is
            the number of the actor's hidden layers.
        idle: parts of modules that the reference does not use and the library does not have.
        unused: options that the reference method ignores.
        built_in: option -> the only value that the library implements.
    """

    kind: type[Algorithm]
    modules: Mapping[str, str]
    options: Mapping[str, str] = {}
    metrics: Mapping[str, str] = {}
    totals: Mapping[str, tuple[str, ...]] = {}
    constants: Mapping[str, float] = {}
    parts: tuple[tuple[str, str], ...] = ()
    idle: frozenset[str] = frozenset()
    unused: frozenset[str] = frozenset()
    built_in: Mapping[str, Any] = {}

    def parameter(self, reference: str) -> str:
        """'target_critic.value_net.Dense_0.kernel' -> 'targets.critic.mlp.kernels.0'."""
        module, _, rest = reference.partition(".")
        root = "targets" if module.startswith("target_") else "networks"
        network = {"critic": "critic", **self.modules}[module.removeprefix("target_")]
        for pattern, replacement in (*self.parts, *PARTS, *LEAVES):
            rest = re.sub(pattern, replacement, rest)
        return f"{root}.{network}.{rest}"

    def is_constant(self, reference: str) -> bool:
        """Whether the reference never updates this parameter. The library does not have such parameters."""
        module, part, *_ = reference.split(".")
        return module in CONSTANT_MODULES or part in self.idle

    def metric(self, reference: str, reported: Mapping[str, Any]) -> Any:
        """Compute a reference metric from what the algorithm reports: its metrics, and `loss/<i>/<network>`."""
        if reference in self.totals:
            losses = [name.split("/") for name in reported if name.startswith("loss/")]
            return sum(reported["/".join(name)] for name in losses if name[-1] in self.totals[reference])
        if reference in self.constants:
            return self.constants[reference]
        names = {**METRICS, **self.metrics}[reference].split(" + ")
        return sum(-reported[name[1:]] if name.startswith("-") else reported[name] for name in names)
