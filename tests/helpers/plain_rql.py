"""RQL written out as slowly and plainly as possible, in the reference's names; see `plain_qam`.

One member, plain autograd, Python loops, Adam by hand, and windows from the rows that the reference's agent receives.
Nothing of qam_torch is used.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.helpers.plain_qam import Arrays, Params, mlp, tensor


class ObviousRQL:
    """The parameters and what is computed with them."""

    def __init__(self, case: dict[str, Any], params: Params) -> None:
        self.case, self.config, self.params = case, case["config"], dict(params)
        self.moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in params.items()}
        self.count = 0

    def value(self, name: str, s: Tensor, x: Tensor, f: Tensor, constant: bool = False) -> Tensor:
        params = {key: p.detach() for key, p in self.params.items()} if constant else self.params
        given, norm = torch.cat([s, x, f], -1), self.config["layer_norm"]
        each = [mlp(params, f"{name}.value_net", given, norm, k=k)[:, 0] for k in range(self.config["ensemble_ct"])]
        return torch.stack(each)

    def velocity(self, name: str, s: Tensor, x: Tensor, f: Tensor) -> Tensor:
        norm = self.config["actor_layer_norm"]
        h = mlp(self.params, f"{name}.actor_net", torch.cat([s, x, f], -1), norm, last_linear=False)
        return h @ self.params[f"{name}.mean_net.kernel"] + self.params[f"{name}.mean_net.bias"]

    def act(self, name: str, s: Tensor, noise: Tensor) -> Tensor:
        x, steps = noise[:, 0], self.config["flow_steps"]
        for i in range(steps):
            x = x + self.velocity(name, s, x, torch.full((len(x), 1), i / steps, dtype=x.dtype)) / steps
        return x.clamp(-1, 1).detach()

    def terms(self, rows: Params, draw: Params) -> tuple[Tensor, Params, Params]:
        """-> total loss, info, traces; rows (h + 1, B, ...) are the sampler's."""
        batch = {name: tensor(array) for name, array in batch_of(as_arrays(rows), self.config).items()}
        s, mask = batch["observations"], batch["valid"]
        valid, a = mask[:, -1], batch["actions"].reshape(len(s), -1)
        steps, kappa = self.config["flow_steps"], self.config["expectile"]
        zero = torch.zeros(len(s), 1, dtype=torch.float64)
        # The reversed flow
        d = torch.cat([draw["reverse_d_uniform"], draw["reverse_d_integers"] / steps])[:, None]
        x, f, xs, fs = a, zero + 1, [a], [zero + 1]
        for _ in range(steps):
            x = (x - d / steps * self.velocity("actor", s, x, f)).detach()
            f = f - d / steps
            xs.append(x)
            fs.append(f)
        # The values
        next_v = self.value("target_value", batch["next_observations"][:, -1], draw["next_noise"], zero)
        pessimistic = next_v.mean(0) - self.config["rho"] * next_v.std(0, correction=0)
        chunk = self.config["discount"] ** self.case["horizon_length"]
        y = (batch["rewards"][:, -1] + chunk * batch["masks"][:, -1] * pessimistic).detach()
        v = self.value("value", s, x, f)
        weight = torch.where(y >= v, kappa + zero[0], 1 - kappa)
        info = {"critic_loss": (valid * weight * (y - v) ** 2).mean()}
        # The flow
        x_0, t = draw["flow_x0"], draw["flow_t"]
        x_t = (1 - t) * x_0 + t * a
        u = self.velocity("actor", s, x_t, t)
        per_dimension = mask.repeat_interleave(self.case["action_dim"], 1)
        info["bc_loss"] = (per_dimension * (u - (a - x_0)) ** 2).mean()
        x_next = x_t + torch.minimum(zero + 1 / steps, 1 - t) * u
        ahead = self.value("value", s, x_next, torch.minimum(t + 1 / steps, zero + 1), constant=True).mean(0)
        info["actor_loss"] = -(valid * ahead).mean()
        info["total_loss"] = info["critic_loss"] + self.config["alpha"] * info["bc_loss"] + info["actor_loss"]
        info |= {"q": v.mean(), "q_mean": v.mean(), "q_max": v.max(), "q_min": v.min()}
        info |= {"q_pe_mean": ahead.mean(), "q_pe_max": ahead.max(), "q_pe_min": ahead.min()}
        traces = {"xs": torch.stack(xs), "fs": torch.stack(fs), "values": v, "td_target": y}
        return info["total_loss"], info, traces

    def update(self, rows: Params, draw: Params) -> tuple[Params, Params, Params]:
        """-> info, gradients, traces; parameters move."""
        online = [name for name in self.params if not name.startswith("target_") and "log_std_net" not in name]
        for name in online:
            self.params[name] = self.params[name].detach().requires_grad_()
        total, info, traces = self.terms(rows, draw)
        gradients = dict(zip(online, torch.autograd.grad(total, [self.params[name] for name in online]), strict=True))
        flat = torch.cat([g.flatten() for g in gradients.values()])
        info["grad/max"], info["grad/min"] = flat.max().clamp(min=0), flat.min().clamp(max=0)
        info["grad/norm"] = sum((g.norm() for g in gradients.values()), torch.zeros(()))
        for name in self.params:
            if name.startswith("target_"):
                rate = self.config["tau"] if "value" in name else 1 - self.config["ema"]
                new = self.params[name.removeprefix("target_")].detach()
                self.params[name] = rate * new + (1 - rate) * self.params[name]
        self.count += 1
        for name, g in gradients.items():
            first, second = self.moments[name]
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
            self.moments[name] = first, second
            a, b = first / (1 - 0.9**self.count), second / (1 - 0.999**self.count)
            self.params[name] = (self.params[name] - self.config["lr"] * a / (b.sqrt() + 1e-8)).detach()
        return info, gradients, traces


def as_arrays(tensors: Params) -> Arrays:
    return {name: value.numpy() for name, value in tensors.items()}


def batch_of(rows: Arrays, config: dict[str, Any]) -> Arrays:
    """The batch in the layout of the recorded cases, from the sampler's rows (h + 1, B, ...), one by one."""
    horizon, count = len(rows["rewards"]) - 1, rows["rewards"].shape[1]
    found: dict[str, list[Any]] = {name: [] for name in ("actions", "rewards", "masks", "valid", "next_observations")}
    for b in range(count):
        inside = [not rows["terminals"][:j, b].any() for j in range(horizon)]
        n = sum(inside)
        discounted = [config["discount"] ** j * rows["rewards"][j, b] * inside[j] for j in range(horizon)]
        found["actions"].append([rows["actions"][min(j, n - 1), b] for j in range(horizon)])
        found["rewards"].append(np.cumsum(discounted))
        found["masks"].append([rows["masks"][j, b] for j in range(horizon)])
        found["valid"].append(inside)
        found["next_observations"].append([rows["observations"][j + 1, b] for j in range(horizon)])
    batch = {name: np.array(values, dtype=np.float64) for name, values in found.items()}
    return {**batch, "observations": rows["observations"][0], "terminals": rows["terminals"][:-1].T}


def replay_rql(case: dict[str, Any], arrays: Arrays) -> Arrays:
    """Everything that a case's inputs lead to, under the case's keys."""

    def under(prefix: str) -> Params:
        return {k.removeprefix(prefix): tensor(v) for k, v in arrays.items() if k.startswith(prefix)}

    model = ObviousRQL(case, under("params0/"))
    out: dict[str, Any] = {}
    for u in range(case["updates"]):
        rows = under(f"agent_batch{u}/")
        info, gradients, traces = model.update(rows, under(f"draw{u}/"))
        batch = batch_of(as_arrays(rows), case["config"])
        out |= {f"batch{u}/{name}": tensor(value) for name, value in batch.items()}
        out |= {f"info{u}/{name}": value for name, value in info.items()}
        if u == 0:
            out |= {f"grad0/{name}": value for name, value in gradients.items()}
            out |= {f"trace0/{name}": value for name, value in traces.items()}
        out |= {f"params{u + 1}/{name}": value for name, value in model.params.items()}
    for group, name in (("act", "target_actor"), ("act_online", "actor")):
        acting = under(f"{group}/")
        out[f"{group}/actions"] = model.act(name, acting["observations"], acting["noise"])
    return {name: value.detach().numpy() for name, value in out.items()}


def fresh_rql_case(name: str, seed: int, updates: int = 2, **changes: Any) -> Arrays:
    """A new case with random parameters, rows and draws; `changes` are entries of its configuration or sizes."""
    sizes = {"batch_size": 6, "obs_dim": 3, "action_dim": 2, "horizon_length": 3}
    sizes |= {key: changes.pop(key) for key in list(changes) if key in sizes}
    b, o, h, k = sizes["batch_size"], sizes["obs_dim"], sizes["horizon_length"], sizes["action_dim"]
    config: dict[str, Any] = {
        "action_dim": h * k, "actor_hidden_dims": [7, 6], "actor_layer_norm": False, "agent_name": "rql", "alpha": 2.0,
        "batch_size": b, "discount": 0.9, "ema": 0.99, "ensemble_ct": 2, "expectile": 0.8, "flow_steps": 3, "h": h,
        "layer_norm": True, "lr": 1e-3, "q_agg": "mean", "rho": 0.5, "tau": 0.01, "value_hidden_dims": [8, 5],
        **changes,
    }  # fmt: skip
    case = {"name": name, "agent": "rql", "seed": seed, "updates": updates, "config": config, **sizes}
    rng, d = np.random.default_rng(seed), h * k
    arrays: Arrays = {"case_json": np.array(json.dumps(case))}

    def layer(path: str, rows: int, columns: int, lead: tuple[int, ...] = ()) -> None:
        arrays[f"params0/{path}.kernel"] = rng.normal(size=(*lead, rows, columns)) / rows**0.5
        arrays[f"params0/{path}.bias"] = 0.1 * rng.normal(size=(*lead, columns))

    def network(path: str, dims: list[int], norms: int, lead: tuple[int, ...] = ()) -> None:
        for i, (rows, columns) in enumerate(zip(dims, dims[1:], strict=False)):
            layer(f"{path}.Dense_{i}", rows, columns, lead)
            if i < norms:
                arrays[f"params0/{path}.LayerNorm_{i}.scale"] = 1 + 0.1 * rng.normal(size=(*lead, columns))
                arrays[f"params0/{path}.LayerNorm_{i}.bias"] = 0.1 * rng.normal(size=(*lead, columns))

    actor, value = config["actor_hidden_dims"], config["value_hidden_dims"]
    for target in ("", "target_"):
        norms = len(value) if config["layer_norm"] else 0
        network(f"{target}value.value_net", [o + d + 1, *value, 1], norms, (config["ensemble_ct"],))
        network(f"{target}actor.actor_net", [o + d + 1, *actor], len(actor) if config["actor_layer_norm"] else 0)
        for head in ("mean_net", "log_std_net"):
            layer(f"{target}actor.{head}", actor[-1], d)
    for leaf in ("kernel", "bias"):
        arrays[f"params0/target_actor.log_std_net.{leaf}"] = arrays[f"params0/actor.log_std_net.{leaf}"]

    for u in range(updates):
        last = rng.integers(1, h + 3, size=b)  # transition at which each window's episode ends
        rows = np.minimum(np.arange(h + 1)[:, None], last)
        episode = {
            "observations": rng.normal(size=(h + 3, b, o)),
            "actions": rng.uniform(-1, 1, size=(h + 3, b, k)),
            "rewards": -rng.uniform(size=(h + 3, b)),
            "masks": rng.integers(0, 2, size=(h + 3, b)).astype(float),
            "terminals": (np.arange(h + 3)[:, None] == last).astype(float),
        }
        arrays |= {f"agent_batch{u}/{name}": array[rows, np.arange(b)] for name, array in episode.items()}
        arrays |= {
            f"draw{u}/next_noise": rng.normal(size=(b, d)),
            f"draw{u}/reverse_d_uniform": rng.uniform(size=b // 2),
            f"draw{u}/reverse_d_integers": rng.integers(0, config["flow_steps"] + 1, size=b // 2),
            f"draw{u}/flow_x0": rng.normal(size=(b, d)),
            f"draw{u}/flow_t": rng.uniform(size=(b, 1)),
        }
    for group in ("act", "act_online"):
        arrays |= {f"{group}/observations": rng.normal(size=(4, o)), f"{group}/noise": rng.normal(size=(4, 1, d))}
    return {**arrays, **replay_rql(case, arrays)}
