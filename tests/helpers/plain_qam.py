"""QAM, QAM-F and QAM-E written out as slowly and plainly as possible, in the reference's names.

One member, plain autograd, Python loops, Adam by hand. Nothing of qam_torch is used, so that agreement of the two says
something. It records cases in the format of tests/golden/README.md, of any size and seed.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Arrays = dict[str, np.ndarray]
Params = dict[str, Tensor]


def tensor(array: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(array, dtype=np.float64))


# Networks, for one member of an ensemble


def mlp(params: Params, prefix: str, x: Tensor, norm: bool, last_linear: bool = True, k: int | None = None) -> Tensor:
    def leaf(name: str) -> Tensor:
        value = params[f"{prefix}.{name}"]
        return value if k is None else value[k]

    layers = len([name for name in params if name.startswith(f"{prefix}.Dense") and name.endswith("kernel")])
    for i in range(layers):
        x = x @ leaf(f"Dense_{i}.kernel") + leaf(f"Dense_{i}.bias")
        if i < layers - 1 or not last_linear:
            x = F.gelu(x, approximate="tanh")
            if norm:
                mean = x.mean(-1, keepdim=True)
                variance = (x * x).mean(-1, keepdim=True) - mean * mean
                x = (x - mean) / torch.sqrt(variance + 1e-6)
                x = x * leaf(f"LayerNorm_{i}.scale") + leaf(f"LayerNorm_{i}.bias")
    return x


class Obvious:
    """The parameters and what is computed with them."""

    def __init__(self, case: dict[str, Any], params: Params) -> None:
        self.case, self.config, self.params = case, case["config"], dict(params)
        self.edits, self.one_step = bool(self.config["edit_scale"]), bool(self.config["fql_alpha"])
        self.horizon, self.steps = case["horizon_length"], self.config["flow_steps"]
        width = self.horizon if self.config["action_chunking"] else 1
        self.size = width * case["action_dim"]
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in params.items()}
        self.count = 0

    def q(self, s: Tensor, a: Tensor, target: bool = False) -> Tensor:
        name = ("target_" if target else "") + "critic.value_net"
        x, norm = torch.cat([s, a], -1), self.config["value_layer_norm"]
        return torch.stack([mlp(self.params, name, x, norm, k=k)[:, 0] for k in range(self.config["num_qs"])])

    def velocity(self, name: str, s: Tensor, x: Tensor, t: float | Tensor) -> Tensor:
        time = t if isinstance(t, Tensor) else torch.full((len(x), 1), t, dtype=x.dtype)
        return mlp(self.params, f"{name}.mlp", torch.cat([s, x, time], -1), self.config["actor_layer_norm"])

    def base(self) -> str:
        return "target_actor_slow" if self.config["target_actor"] else "actor_slow"

    def flow(self, s: Tensor, x: Tensor) -> Tensor:
        for i in range(self.steps):
            t = i / self.steps
            if self.config["inv_temp"] == 0:
                v = self.velocity("actor_slow", s, x, t)
            elif self.config["residual"]:
                v = self.velocity("actor_slow", s, x, t) + self.velocity("actor_fast", s, x, t)
            else:
                v = self.velocity("actor_fast", s, x, t)
            x = x + v / self.steps
        return x.clamp(-1, 1)

    def editor(self, s: Tensor, a: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """-> edit, its log probability."""
        norm = self.config["actor_layer_norm"]
        h = mlp(self.params, "edit_actor.MLP_0", torch.cat([s, a], -1), norm, last_linear=False)
        mean, log_std = (
            h @ self.params[f"edit_actor.{part}.kernel"] + self.params[f"edit_actor.{part}.bias"]
            for part in ("OutputDenseMean", "OutputDenseLogStd")
        )
        log_std = log_std.clamp(-20, 2)
        raw = mean + log_std.exp() * noise
        normal = -0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi)
        return torch.tanh(raw), (normal - torch.log(1 - torch.tanh(raw) ** 2)).sum(-1)

    def edited(self, a: Tensor, e: Tensor) -> Tensor:
        return (a + self.config["edit_scale"] * e).clamp(-1, 1)

    def mu(self, s: Tensor, z: Tensor) -> Tensor:
        return mlp(self.params, "one_step_actor.mlp", torch.cat([s, z], -1), self.config["actor_layer_norm"])

    def act(self, observations: Tensor, noise: Tensor, edit_noise: Tensor | None) -> Tensor:
        """One observation at a time; noise (B, N, D)."""
        chosen = []
        for row in range(len(observations)):
            s = observations[row : row + 1]
            best, best_value = None, -math.inf
            for n in range(noise.shape[1]):
                z = noise[row, n : n + 1]
                a = self.mu(s, z).clamp(-1, 1) if self.one_step else self.flow(s, z)
                if self.edits:
                    assert edit_noise is not None
                    a = self.edited(a, self.editor(s, a, edit_noise[row, n : n + 1])[0])
                value = float(self.q(s, a).mean().detach())
                if value > best_value:
                    best, best_value = a, value
            assert best is not None
            chosen.append(best)
        return torch.cat(chosen).detach()

    # The losses

    def terms(self, batch: Params, draw: Params) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """-> total loss, info, traces."""
        s, valid = batch["observations"], batch["valid"][:, -1]
        a = batch["actions"].reshape(len(s), -1)[:, : self.size]
        info: dict[str, Tensor] = {}
        # Critic
        next_s = batch["next_observations"][:, -1]
        next_a = self.act(next_s, draw["next_noise"], draw.get("next_edit_noise"))
        next_q = self.q(next_s, next_a, target=True)
        pessimistic = next_q.mean(0) - self.config["rho"] * next_q.std(0, correction=0)
        y = batch["rewards"][:, -1] + self.config["discount"] ** self.horizon * batch["masks"][:, -1] * pessimistic
        q = self.q(s, a)
        info["critic/critic_loss"] = (valid * (q - y.detach()) ** 2).mean()
        info |= {"critic/q_mean": q.mean(), "critic/q_max": q.max(), "critic/q_min": q.min()}
        # Behavior flow
        x_0, t = draw["flow_x0"], draw["flow_t"]
        v = self.velocity("actor_slow", s, (1 - t) * x_0 + t * a, t)
        info["actor/flow_loss"] = (valid * ((v - (a - x_0)) ** 2).mean(-1)).mean()
        matching, more, traces = self.adjoint_matching(s, draw)
        info |= more
        total = info["critic/critic_loss"] + info["actor/flow_loss"] + matching
        if self.one_step:
            flow = self.flow(s, draw["onestep_noise"]).detach()
            mu = self.mu(s, draw["onestep_noise"])
            info["actor/fql_distill_loss"] = ((flow - mu) ** 2).mean()
            info["actor/fql_q_loss"] = -self.constant_critic(s, mu.clamp(-1, 1)).mean()
            total = total + self.config["fql_alpha"] * info["actor/fql_distill_loss"] + info["actor/fql_q_loss"]
        if self.edits:
            flow = self.flow(s, draw["edit_flow_noise"]).detach()
            e, log_prob = self.editor(s, flow, draw["edit_noise"])
            alpha = self.params["edit_alpha.log_value"].exp()
            entropy = -log_prob.mean()
            info["actor/edit_q_loss"] = -self.constant_critic(s, self.edited(flow, e)).mean()
            info["actor/edit_entropy_loss"] = (alpha.detach() * log_prob).mean()
            info["actor/edit_alpha_loss"] = alpha * (entropy.detach() - self.config["edit_target_entropy"])
            info |= {"actor/edit_entropy": entropy, "actor/edit_alpha": alpha}
            total = total + sum(info[f"actor/edit_{part}_loss"] for part in ("q", "entropy", "alpha"))
        return total, info, traces

    def constant_critic(self, s: Tensor, a: Tensor) -> Tensor:
        own, self.params = self.params, {name: p.detach() for name, p in self.params.items()}
        frozen = {name: p for name, p in self.params.items() if name.startswith("critic")}
        self.params = {**own, **frozen}
        value = self.q(s, a)
        self.params = own
        return value

    def adjoint_matching(self, s: Tensor, draw: Params) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        steps, residual = self.steps, self.config["residual"]
        dt = 1 / steps
        sigma = [math.sqrt(2 * (1 - i * dt + dt) / (i * dt + dt)) for i in range(steps)]
        # The path
        xs, x = [], draw["sde_x0"]
        for i in range(steps):
            xs.append(x)
            t = i * dt
            if i == steps - 1:
                x = x + dt * self.velocity(self.base(), s, x, t)
                break
            f = self.velocity("actor_fast", s, x, t)
            if residual:
                f = f + self.velocity(self.base(), s, x, t)
            x = x + dt * (2 * f - x / (t + dt)) + math.sqrt(dt) * sigma[i] * draw["sde_noise"][i]
            x = x.detach()
        x = x.detach().requires_grad_()
        # The adjoint, by one vector-Jacobian product a step
        value = self.q(s, x.clamp(-1, 1) if self.config["clip_adj"] else x, target=self.config["use_target_grad"])
        (slope,) = torch.autograd.grad(value.mean(0).sum(), x)
        adjoint = -self.config["inv_temp"] * slope
        size = adjoint.abs()
        info = {"actor/adj_mean": size.mean(), "actor/adj_std": size.std(correction=0), "actor/adj_max": size.max()}
        adjoints: list[Tensor] = []
        for i in reversed(range(steps)):
            at, t = xs[i].detach().requires_grad_(), i * dt + dt
            drift = 2 * self.velocity(self.base(), s, at, t) - at / t
            (product,) = torch.autograd.grad(drift, at, grad_outputs=adjoint)
            adjoint = adjoint + dt * product
            adjoints.insert(0, adjoint)
        # The loss
        loss = torch.zeros(len(s), dtype=torch.float64)
        for i in range(steps):
            f = self.velocity("actor_fast", s, xs[i], i * dt)
            u = f if residual else f - self.velocity(self.base(), s, xs[i], i * dt).detach()
            loss = loss + ((2 * u / sigma[i] + sigma[i] * adjoints[i]) ** 2).sum(-1)
        info |= {"actor/adj_loss": loss.mean(), "actor/fast_loss": loss.mean()}
        times = torch.stack([torch.full((len(s), 1), i * dt, dtype=torch.float64) for i in range(steps)])
        return loss.mean(), info, {"xs": torch.stack(xs), "lean_adjoints": torch.stack(adjoints), "ts": times}

    # The update

    def update(self, batch: Params, draw: Params) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """-> info, gradients, traces; parameters move."""
        online = [name for name in self.params if not name.startswith("target_")]
        for name in online:
            self.params[name] = self.params[name].detach().requires_grad_()
        total, info, traces = self.terms(batch, draw)
        found = torch.autograd.grad(total, [self.params[name] for name in online])
        gradients = dict(zip(online, found, strict=True))
        flat = torch.cat([g.flatten() for g in found])
        # The reference looks at all parameters; the targets' gradients are zero.
        info["grad/max"], info["grad/min"] = flat.max().clamp(min=0), flat.min().clamp(max=0)
        info["grad/norm"] = sum((g.norm() for g in found), torch.zeros(()))
        rate = self.config["tau"]
        for name in self.params:
            if name.startswith("target_") and not name.startswith("target_actor_fast"):
                new = self.params[name.removeprefix("target_")].detach()
                self.params[name] = rate * new + (1 - rate) * self.params[name]
        norm = flat.norm()
        scale = 1 / norm if self.config["clip_grad"] and norm > 1 else 1.0
        self.count += 1
        for name, g in gradients.items():
            g = g * scale
            first, second = self.moments[name]
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
            self.moments[name] = first, second
            a, b = first / (1 - 0.9**self.count), second / (1 - 0.999**self.count)
            self.params[name] = (self.params[name] - self.config["lr"] * a / (b.sqrt() + 1e-8)).detach()
        return {name: value.detach() for name, value in info.items()}, gradients, traces


def replay(case: dict[str, Any], arrays: Arrays) -> Arrays:
    """Everything that a case's inputs lead to, under the case's keys."""

    def under(prefix: str) -> Params:
        return {k.removeprefix(prefix): tensor(v) for k, v in arrays.items() if k.startswith(prefix)}

    model = Obvious(case, under("params0/"))
    out: dict[str, Tensor] = {}
    for u in range(case["updates"]):
        info, gradients, traces = model.update(under(f"batch{u}/"), under(f"draw{u}/"))
        out |= {f"info{u}/{name}": value for name, value in info.items()}
        if u == 0:
            out |= {f"grad0/{name}": value for name, value in gradients.items()}
            out |= {f"trace0/{name}": value for name, value in traces.items()}
        out |= {f"params{u + 1}/{name}": value for name, value in model.params.items()}
    acting = under("act/")
    out["act/actions"] = model.act(acting["observations"], acting["noise"], acting.get("edit_noise"))
    return {name: value.detach().numpy() for name, value in out.items()}


def fresh_case(name: str, seed: int, updates: int = 2, **changes: Any) -> Arrays:
    """A new case with random parameters, batches and draws; `changes` are entries of its configuration or sizes."""
    sizes = {"batch_size": 5, "obs_dim": 3, "action_dim": 2, "horizon_length": 2}
    sizes |= {key: changes.pop(key) for key in list(changes) if key in sizes}
    config: dict[str, Any] = {
        "action_chunking": True, "actor_hidden_dims": [7, 6], "actor_layer_norm": False, "agent_name": "qam",
        "best_of_n": 1, "clip_adj": True, "clip_grad": True, "discount": 0.9, "edit_scale": 0.0,
        "edit_target_entropy_multiplier": 0.5, "flow_steps": 3, "fql_alpha": 0.0, "inv_temp": 2.0, "lr": 1e-3,
        "num_qs": 2, "residual": False, "rho": 0.5, "target_actor": True, "tau": 0.01, "use_target_grad": True,
        "value_hidden_dims": [8, 5], "value_layer_norm": True, "batch_size": sizes["batch_size"],
        "action_dim": sizes["action_dim"], "ob_dims": [sizes["obs_dim"]], "horizon_length": sizes["horizon_length"],
        **changes,
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    b, o, h, n = sizes["batch_size"], sizes["obs_dim"], sizes["horizon_length"], config["best_of_n"]
    d = sizes["action_dim"] * (h if config["action_chunking"] else 1)
    config["edit_target_entropy"] = -config["edit_target_entropy_multiplier"] * d
    case = {"name": name, "agent": "qam", "seed": seed, "updates": updates, "config": config, **sizes}
    arrays: Arrays = {"case_json": np.array(json.dumps(case))}

    def network(prefix: str, dims: list[int], norm: bool, lead: tuple[int, ...] = ()) -> None:
        for i, (rows, columns) in enumerate(zip(dims, dims[1:], strict=False)):
            arrays[f"params0/{prefix}.Dense_{i}.kernel"] = rng.normal(size=(*lead, rows, columns)) / rows**0.5
            arrays[f"params0/{prefix}.Dense_{i}.bias"] = 0.1 * rng.normal(size=(*lead, columns))
            if norm and i < len(dims) - 2:
                arrays[f"params0/{prefix}.LayerNorm_{i}.scale"] = 1 + 0.1 * rng.normal(size=(*lead, columns))
                arrays[f"params0/{prefix}.LayerNorm_{i}.bias"] = 0.1 * rng.normal(size=(*lead, columns))

    actor, norm = config["actor_hidden_dims"], config["actor_layer_norm"]
    for target in ("", "target_"):
        value = [o + d, *config["value_hidden_dims"], 1]
        network(f"{target}critic.value_net", value, config["value_layer_norm"], (config["num_qs"],))
        for flow in ("actor_slow", "actor_fast"):
            network(f"{target}{flow}.mlp", [o + d + 1, *actor, d], norm)
    if config["fql_alpha"]:
        network("one_step_actor.mlp", [o + d, *actor, d], norm)
    if config["edit_scale"]:
        network("edit_actor.MLP_0", [o + d, *actor], False)
        for part in ("OutputDenseMean", "OutputDenseLogStd"):
            network(f"edit_actor.{part}", [actor[-1], d], False)
            for leaf in ("kernel", "bias"):
                arrays[f"params0/edit_actor.{part}.{leaf}"] = arrays.pop(f"params0/edit_actor.{part}.Dense_0.{leaf}")
        arrays["params0/edit_alpha.log_value"] = np.array(0.3)

    for u in range(updates):
        ended = rng.integers(0, 2, size=(b, h)).cumsum(1)
        arrays |= {
            f"batch{u}/observations": rng.normal(size=(b, o)),
            f"batch{u}/actions": rng.uniform(-1, 1, size=(b, h, sizes["action_dim"])),
            f"batch{u}/rewards": -rng.uniform(size=(b, h)).cumsum(1),
            f"batch{u}/masks": np.minimum.accumulate(rng.integers(0, 2, size=(b, h)), 1).astype(float),
            f"batch{u}/valid": (ended <= 1).astype(float),
            f"batch{u}/terminals": (ended >= 1).astype(float),
            f"batch{u}/next_observations": rng.normal(size=(b, h, o)),
            f"draw{u}/next_noise": rng.normal(size=(b, n, d)),
            f"draw{u}/flow_x0": rng.normal(size=(b, d)),
            f"draw{u}/flow_t": rng.uniform(size=(b, 1)),
            f"draw{u}/sde_x0": rng.normal(size=(b, d)),
            f"draw{u}/sde_noise": rng.normal(size=(config["flow_steps"], b, d)),
        }
        if config["fql_alpha"]:
            arrays[f"draw{u}/onestep_noise"] = rng.normal(size=(b, d))
        if config["edit_scale"]:
            arrays[f"draw{u}/next_edit_noise"] = rng.normal(size=(b, n, d))
            arrays |= {f"draw{u}/edit_{part}": rng.normal(size=(b, d)) for part in ("flow_noise", "noise")}
    arrays |= {"act/observations": rng.normal(size=(4, o)), "act/noise": rng.normal(size=(4, n, d))}
    if config["edit_scale"]:
        arrays["act/edit_noise"] = rng.normal(size=(4, n, d))
    return {**arrays, **replay(case, arrays)}
