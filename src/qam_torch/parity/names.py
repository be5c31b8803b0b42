"""Map names of the reference implementation to the library's, for names shared by methods.

`parity.method_names` has one `Names` per method.
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
"""Reference metric -> library metric, all methods."""

OPTIONS = {"tau": "target_update_rate"}
"""Reference option -> library option; all other options have the same name."""

SIZES = frozenset({"agent_name", "batch_size", "action_dim", "ob_dims", "edit_target_entropy"})
"""Entries of a recorded configuration that are not constructor options."""

CONSTANT_MODULES = ("target_actor_fast",)
"""Modules that the reference keeps but never uses; the check only verifies that they never change."""

ONE_DRAW_MORE = ("sde_noise", "ddpm_noise", "next_ddpm_noise")
"""Solver noise; the reference draws one more, unused, for the last step."""


class Names(NamedTuple):
    """One method's names: the reference's on the left, the library's on the right.

    Attributes:
        kind: algorithm class.
        modules: module -> network.
        options: option -> constructor argument.
        metrics: metric -> library metric; "-" negates, " + " adds several.
        totals: metric -> networks; the metric is the sum of the losses that train them.
        constants: metric -> its value, which no draw or parameter changes.
        parts: patterns of parameter names inside a module, applied before the shared ones. In a replacement, <depth> is
            the number of the actor's hidden layers.
        idle: module parts unused by the reference, missing in the library.
        unused: options that the reference method ignores.
        built_in: option -> its only value here.
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
        """Whether the reference never updates this parameter; the library does not have it."""
        module, part, *_ = reference.split(".")
        return module in CONSTANT_MODULES or part in self.idle

    def metric(self, reference: str, reported: Mapping[str, Any]) -> Any:
        """The value of a metric, given all that the algorithm reports: its metrics, and `loss/<i>/<network>`."""
        if reference in self.totals:
            losses = [name.split("/") for name in reported if name.startswith("loss/")]
            return sum(reported["/".join(name)] for name in losses if name[-1] in self.totals[reference])
        if reference in self.constants:
            return self.constants[reference]
        names = {**METRICS, **self.metrics}[reference].split(" + ")
        return sum(-reported[name[1:]] if name.startswith("-") else reported[name] for name in names)
