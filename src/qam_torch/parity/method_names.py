"""Names in the reference implementation -> names in the library, for each method.

This table contains everything in the parity check that is specific to a method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qam_torch import algorithms as ours
from qam_torch.algorithms import Algorithm
from qam_torch.parity.names import OPTIONS, SIZES, Names
from qam_torch.types import QamError

__all__ = ["METHODS", "algorithm_for", "names_for"]

_QAM_METRICS = {
    "actor/adj_loss": "adjoint/loss",
    "actor/fast_loss": "adjoint/loss",
    "actor/adj_mean": "adjoint/terminal_mean",
    "actor/adj_std": "adjoint/terminal_std",
    "actor/adj_max": "adjoint/terminal_max",
    "actor/fql_distill_loss": "one_step/distillation_loss",
    "actor/fql_q_loss": "one_step/q_loss",
}
_EDIT = {"edit_actor": "edit", "edit_alpha": "edit_alpha"}
_FLOWS = {"actor_slow": "f_beta", "actor_fast": "f_theta"}
_NO_EDIT = frozenset({"edit_scale", "edit_target_entropy_multiplier"})
_CGQL = {"separate": False, "target_guidance": True}
_CGQL_MODE = frozenset({"mode"})
_DIFFUSION = {"beta_schedule": "vp", "use_target_critic_grad": True, "clip_grad_norm": 1.0}
_DIFFUSION_METRICS = {"actor/actor_loss": "actor/score_loss", "critic/q": "critic/q_mean"}
_DIFFUSION_PARTS = (
    (r"FourierFeatures_0\.kernel", r"frequencies"),
    (r"MLP_0\.(.*)", r"time.\1"),
    (r"MLP_1\.(.*)", r"mlp.\1"),
)

METHODS = {
    "qam": Names(ours.QAM, _FLOWS, metrics=_QAM_METRICS, unused=_NO_EDIT | {"fql_alpha"}),
    "qam_f": Names(ours.QAMF, {**_FLOWS, "one_step_actor": "one_step"}, metrics=_QAM_METRICS, unused=_NO_EDIT),
    "qam_e": Names(ours.QAME, {**_FLOWS, **_EDIT}, metrics=_QAM_METRICS, unused=frozenset({"fql_alpha"})),
    "bam": Names(ours.BAM, _FLOWS, metrics={"actor/bam_loss": "control/loss", "actor/bc_loss": "control/energy"}),
    "cgql": Names(ours.CGQL, {"actor": "f_beta"}, unused=_CGQL_MODE | {"noisy_coef", "isd_clip"}, built_in=_CGQL),
    "cgql_mse": Names(
        ours.CGQLMSE,
        {"actor": "f_beta"},
        metrics={"critic/noisy_critic_loss": "noisy_critic/loss"},
        unused=_CGQL_MODE | {"isd_clip"},
        built_in=_CGQL,
    ),
    "cgql_linex": Names(
        ours.CGQLLinex,
        {"actor": "f_beta"},
        metrics={"critic/noisy_critic_loss": "noisy_critic/loss", "critic/exp_bias": "noisy_critic/exp_bias"},
        unused=_CGQL_MODE,
        built_in={**_CGQL, "isd_clip": 5.0},
    ),
    "dsrl": Names(
        ours.DSRL,
        {"actor": "latent", "actor_bc_flow": "f_beta", "alpha": "latent_alpha", "z_critic": "latent_critic"},
        metrics={
            "actor/action_std": "latent/std",
            "actor/q": "-latent/q_loss",
            "critic/distill_loss": "latent_critic/loss",
            **{f"actor/{name}": f"latent/{name}" for name in ("alpha", "alpha_loss", "entropy")},
        },
        totals={
            "actor/actor_loss": ("latent",),
            "actor/total_loss": ("latent", "latent_alpha", "f_beta"),
            "critic/total_loss": ("critic", "latent_critic"),
        },
        unused=frozenset({"target_entropy"}),
        built_in={"use_target_latent": True},
    ),
    "qsm": Names(
        ours.QSM,
        metrics=_DIFFUSION_METRICS,
        options={"alpha": "bc_alpha"},
        modules={"actor": "actor"},
        parts=_DIFFUSION_PARTS,
        unused=frozenset({"actor_loss_type"}),
        built_in={**_DIFFUSION, "clip_sampler_before": False, "clip_sampler_after": True},
    ),
    "dac": Names(
        ours.DAC,
        metrics=_DIFFUSION_METRICS,
        options={"alpha": "bc_alpha"},
        modules={"actor": "actor"},
        parts=_DIFFUSION_PARTS,
        unused=frozenset({"actor_loss_type", "inv_temp"}),
        built_in={**_DIFFUSION, "clip_sampler_before": True, "clip_sampler_after": False},
    ),
    "fql": Names(
        ours.FQL,
        {"actor_bc_flow": "f_beta", "actor_onestep_flow": "one_step"},
        options={"alpha": "fql_alpha"},
        metrics={"actor/distill_loss": "one_step/distillation_loss"},
        totals={"actor/actor_loss": ("f_beta", "one_step")},
    ),
    "fedit": Names(
        ours.FEdit,
        {"actor_bc_flow": "f_beta", "edit_actor": "edit", "alpha": "edit_alpha"},
        totals={"actor/actor_loss": ("f_beta", "edit", "edit_alpha")},
    ),
    "fbrac": Names(
        ours.FBRAC,
        {"actor_flow": "f_theta"},
        options={"alpha": "fbrac_alpha"},
        totals={"actor/actor_loss": ("f_theta",)},
    ),
    "fawac": Names(
        ours.FAWAC,
        {"actor": "f_theta", "value": "value"},
        metrics={"actor/actor_loss": "behavior/loss", "critic/value_loss": "value/loss"},
        unused=frozenset({"ac_action_dim"}),
    ),
    "ifql": Names(
        ours.IFQL,
        {"actor_flow": "f_beta", "value": "value"},
        options={"num_samples": "best_of_n"},
        metrics={
            "actor/actor_loss": "behavior/loss",
            "value/value_loss": "value/loss",
            **{f"value/v_{which}": f"value/v_{which}" for which in ("mean", "max", "min")},
            # The reference logs the critics' TD target under the name q.
            **{f"critic/q_{which}": f"critic/target_{which}" for which in ("mean", "max", "min")},
        },
    ),
    "rebrac": Names(
        ours.ReBRAC,
        {"actor": "actor"},
        options={"actor_freq": "target_update_every"},
        metrics={
            "actor/actor_loss": "actor/q_loss",
            "actor/mse": "actor/squared_distance",
            "actor/bc_loss": "loss/2/actor",
        },
        totals={"actor/total_loss": ("actor",)},
        constants={"actor/action_std": 1.0},
        parts=((r"actor_net\.(.*)", r"trunk.\1"), (r"mean_net\.(.*)", r"mean.Dense_0.\1")),
        built_in={"actor_fc_scale": 0.01},
    ),
    "rlpd": Names(
        ours.RLPD,
        {"actor": "actor", "alpha": "actor_alpha"},
        metrics={
            "actor/q": "-actor/q_loss",
            "actor/actor_loss": "actor/q_loss + actor/entropy_loss",
            "actor/bc_loss": "loss/4/actor",
            **{f"actor/{name}": f"actor/{name}" for name in ("alpha", "alpha_loss", "entropy")},
        },
        totals={"actor/total_loss": ("actor", "actor_alpha")},
        unused=frozenset({"target_entropy"}),
        built_in={"init_temp": 1.0},
    ),
    "rql": Names(
        ours.RQL,
        {"actor": "f_theta", "value": "critic"},
        options={
            "alpha": "bc_alpha",
            "expectile": "kappa",
            "ensemble_ct": "num_qs",
            "layer_norm": "value_layer_norm",
            "h": "horizon_length",
        },  # fmt: skip
        metrics={
            "critic_loss": "critic/loss",
            "bc_loss": "behavior/loss",
            "actor_loss": "policy/q_loss",
            "q": "critic/q_mean",
            **{f"q_{which}": f"critic/q_{which}" for which in ("mean", "max", "min")},
            **{f"q_pe_{which}": f"policy/q_{which}" for which in ("mean", "max", "min")},
        },
        totals={"total_loss": ("critic", "f_theta")},
        parts=((r"actor_net\.(.*)", r"mlp.\1"), (r"mean_net\.(.*)", r"mlp.Dense_<depth>.\1")),
        idle=frozenset({"log_std_net"}),
        unused=frozenset({"q_agg"}),
    ),
}
"""Method -> its names. The method of a recorded case is its agent, unless `VARIANTS` has this agent."""

VARIANTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "cgql": lambda config: {"simple": "cgql"}.get(config["mode"], f"cgql_{config['mode']}"),
    "dcgql": lambda config: config["actor_loss_type"],
    "qam": lambda config: "qam_f" if config.get("fql_alpha") else "qam_e" if config.get("edit_scale") else "qam",
}
"""Agent of the reference that is split into several methods here -> function that picks one from the case's config."""


def names_for(case: Mapping[str, Any]) -> Names:
    """Find the names of a recorded case's method.

    Raises:
        QamError: the method is unknown.
    """
    agent = case["agent"]
    name = VARIANTS[agent](case["config"]) if agent in VARIANTS else agent
    if name not in METHODS:
        raise QamError(f"the case's method '{name}' is unknown: expected one of {', '.join(METHODS)}")
    names, depth = METHODS[name], str(len(case["config"]["actor_hidden_dims"]))
    return names._replace(parts=tuple((old, new.replace("<depth>", depth)) for old, new in names.parts))


def algorithm_for(case: Mapping[str, Any]) -> Algorithm:
    """Build the library's algorithm for a recorded case, with one member.

    Raises:
        QamError: the case has an unknown method or option.
    """
    names, options = names_for(case), {}
    for name, value in case["config"].items():
        if name in names.built_in and value != names.built_in[name]:
            raise QamError(f"the case has {name}={value}: only {names.built_in[name]} is known here")
        if name not in SIZES | names.unused | names.built_in.keys():
            options[names.options.get(name, OPTIONS.get(name, name))] = value
    options["horizon_length"] = case["horizon_length"]
    return names.kind(observation_dim=case["obs_dim"], action_dim=case["action_dim"], seeds=(0,), **options)
