"""The one update that every method shares.

A method is a set of losses over named networks, a policy, and a table of which networks have Polyak copies. All else
is here: the joint optimiser, gradient clipping, Polyak averaging, metrics, counting. The update is a function of
(parameters, batch, noise): it does not read the host, so it can be captured, compiled or replayed with recorded draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from qam_torch.algorithms.capture import CapturedGradients
from qam_torch.algorithms.graph import GraphedUpdate
from qam_torch.algorithms.noise import NamedNoise, member_generators
from qam_torch.algorithms.terms import LossTerm, differentiate
from qam_torch.networks import polyak_copy, polyak_update
from qam_torch.types import Batch, Draw, Noise, Policy, QamError, Work, require

__all__ = ["Algorithm", "DivergedError", "LossTerm"]


class DivergedError(QamError):
    """A loss became infinite or NaN; the message names it."""


class Algorithm(L.LightningModule):
    """Base of all methods: a LightningModule with manual optimisation over a population of P members.

    A subclass adds its networks with `add_network`, sets `policy`, and defines `draws` and `losses`.

    observation_dim     int            O
    action_dim          int            A, of one environment step
    seeds               ints           one a member; P = len(seeds)
    horizon_length      int >= 1       h
    action_chunking     bool           act with whole chunks (D = h A); else D = A and only the return is n-step
    discount            float (0, 1]   gamma, of one environment step
    lr                  float > 0      Adam's step size
    target_update_rate  float (0, 1]   Polyak rate of the target networks
    clip_grad           bool           clip each member's joint gradient to global norm 1

    Three attributes choose how the update runs, not what it computes: `capture` (default True) records the
    differentiated losses and replays them, on a GPU the whole update as a CUDA graph; `compile_update` (default False)
    also compiles them; `mixed_precision` (default False) makes their matrix products in bfloat16, while parameters,
    optimiser and network outputs stay as they are.

    Raises QamError when a number is out of range.

    Source: Li & Levine 2026, training loop of the reference implementation.
    """

    policy: Policy
    behavior_policy: Policy | None = None

    def __init__(
        self,
        *,
        observation_dim: int,
        action_dim: int,
        seeds: Sequence[int],
        horizon_length: int,
        action_chunking: bool,
        discount: float,
        lr: float,
        target_update_rate: float,
        clip_grad: bool,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        require("seeds", len(seeds) >= 1 and len(set(seeds)) == len(seeds), seeds, "at least one seed, all different")
        require("horizon_length", horizon_length >= 1, horizon_length, "an integer >= 1")
        require("discount", 0 < discount <= 1, discount, "a number in (0, 1]")
        require("lr", lr > 0, lr, "a positive number")
        require("target_update_rate", 0 < target_update_rate <= 1, target_update_rate, "a number in (0, 1]")
        self.seeds = tuple(seeds)
        self.members = len(self.seeds)
        self.observation_dim, self.horizon_length = observation_dim, horizon_length
        self.chunk_dim = action_dim * (horizon_length if action_chunking else 1)
        self.chunk_discount = discount**horizon_length
        self.lr, self.target_update_rate, self.clip_grad = lr, target_update_rate, clip_grad
        self.networks = nn.ModuleDict()
        self.targets = nn.ModuleDict()
        self.common_values: dict[str, float] = {}
        self.noise: NamedNoise | None = None
        self.metrics: dict[str, Tensor] = {}
        self.capture = True
        self.compile_update = False
        self.mixed_precision = False
        self.captured: dict[Any, CapturedGradients] = {}
        self.graphed: dict[Any, GraphedUpdate] = {}

    # What a method defines

    def add_network(self, name: str, network: nn.Module, polyak: bool = False) -> None:
        """Add an online network, initialised for each member from its seed and the network's name alone."""
        network.initialize(member_generators(self.seeds, f"init/{name}"))  # type: ignore[operator]
        self.networks[name] = network
        if polyak:
            self.targets[name] = polyak_copy(network)

    def network(self, name: str) -> Any:
        """An online network by name."""
        return self.networks[name]

    def target(self, name: str) -> Any:
        """A network's Polyak copy by name."""
        return self.targets[name]

    def set_member_value(self, name: str, value: float | Sequence[float], positive: bool = True) -> None:
        """Register a number that enters a loss or the acting rule: one for all members, or one a member."""
        lone = isinstance(value, (int, float))
        values = [value] if isinstance(value, (int, float)) else list(value)
        require(
            name, lone or len(values) == self.members, value, f"one number, or one for each of {self.members} seeds"
        )
        require(name, all(v > 0 or (v == 0 and not positive) for v in values), value, f"> 0{' or 0' * (not positive)}")
        # In float64, so that a member's number is the very one it would have alone; `.to(dtype)` rounds both alike.
        numbers = None if lone else torch.tensor(values, dtype=torch.float64)
        self.register_buffer(f"{name}_values", numbers, persistent=False)
        self.common_values[name] = float(values[0])

    def member_value(self, name: str, ndim: int = 1) -> float | Tensor:
        """The number for all members, or (P, 1, ..) with ndim axes where they differ."""
        values = getattr(self, f"{name}_values")
        if values is None:
            return self.common_values[name]
        return values.to(next(self.networks.parameters()).dtype).view(-1, *(1,) * (ndim - 1))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The named noise one update consumes, `next_*` being the policy's in the TD target."""
        return {f"next_{name}": draw for name, draw in self.policy.draws(batch_size).items()}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The method's objective; `batch.actions` already has the width the method acts with."""
        raise NotImplementedError

    def traces(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Intermediate quantities worth looking at, by name; for study and parity checks."""
        return {}

    @property
    def remedy(self) -> str:
        """What may help when training diverges."""
        numbers = ["algo.lr", *(["algo.inv_temp"] if "inv_temp" in self.common_values else [])]
        return f"lower {' or '.join(numbers)}, or check the data for outliers"

    # The one update

    def next_actions(self, batch: Batch, noise: Noise) -> Tensor:
        """The method's own acting rule at s', with noise drawn for it: (P, B, D), a constant."""
        own = {name.removeprefix("next_"): draw for name, draw in noise.items() if name.startswith("next_")}
        return self.act(batch.next_observations, own)

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Noise) -> Tensor:
        """Action chunks of the acting policy: (P, B, O) -> (P, B, D) in [-1, 1]."""
        return self.policy(observations, noise)

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """Evaluate all losses and differentiate them, each network by its own losses only.

        -> the loss terms, and the gradients in the order of `networks.parameters()`, None where no loss reaches
        """
        batch = batch._replace(actions=batch.actions[..., : self.chunk_dim])
        # Without autocast's cache, so that the gradients of several uses of a weight are added in its own precision.
        device = batch.actions.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.mixed_precision, cache_enabled=False):
            terms = self.losses(batch, noise)
        return terms, differentiate(terms, self.networks, self.members)

    def compute_gradients(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Evaluate all losses and fill `.grad`."""
        terms, gradients = self.gradients(batch, noise)
        for p, g in zip(self.networks.parameters(), gradients, strict=True):
            p.grad = g
        return terms

    def polyak_rate(self) -> float | Tensor:
        """How far the targets move in this update: a number, or a tensor () where it depends on the update."""
        return self.target_update_rate

    @torch.no_grad()
    def apply_gradients(self) -> Tensor:
        """Move the targets, then clip and step the optimiser; returns the gradient's norm before clipping, (P,).

        Targets move BEFORE the optimiser's step, from the parameters the losses were computed with, so a target lags
        by one update: the reference's order.
        """
        polyak_update(self._averages, self._sources, self.polyak_rate())
        gradients = [p.grad for p in self._online if p.grad is not None]
        norm = _member_norms(gradients)
        if self.clip_grad:
            _scale_members(gradients, norm.clamp(min=1).reciprocal())
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """name -> (P,): the losses alone, or every metric, which includes them."""
        if diagnose:
            return {name: value for term in terms for name, value in term.metrics().items()}
        return {f"loss/{i}/{'+'.join(term.trains)}": term.loss.detach() for i, term in enumerate(terms)}

    def update(self, batch: Batch, noise: Noise, diagnose: bool = False) -> dict[str, Tensor]:
        """One update of all members, in place.

        batch     fields (P, B, ...)
        noise     the draws named by `draws`, each (P, ...)
        diagnose  also compute every metric
        ->        name -> (P,): the losses, or every metric
        """
        if not (self.capture and self.device.type == "cuda"):
            return self._update(batch, noise, diagnose)
        key = (diagnose, batch.rewards.shape)
        if key not in self.graphed:
            self.graphed[key] = GraphedUpdate(partial(self._update, diagnose=diagnose), batch, noise)
        return self.graphed[key](batch, noise)

    def _update(self, batch: Batch, noise: Noise, diagnose: bool) -> dict[str, Tensor]:
        if self.capture:
            key = (diagnose, batch.rewards.shape)
            if key not in self.captured:
                # The rare diagnosed update is not worth a second compilation.
                self.captured[key] = CapturedGradients(
                    self, batch, noise, diagnose, self.compile_update and not diagnose
                )
            report, gradients = self.captured[key](batch, noise)
        else:
            terms, gradients = self.gradients(batch, noise)
            report = self.report(terms, diagnose)
        for p, g in zip(self._online, gradients, strict=True):
            p.grad = g
        norm = self.apply_gradients()
        return {**report, "gradient/norm": norm} if diagnose else report

    # Lightning

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam over all online networks; it is elementwise, so members do not mix."""
        # Listed once: walking the modules at every update would take longer than moving a small network.
        self._online = list(self.networks.parameters())
        self._averages = [p for target in self.targets.values() for p in target.parameters()]
        self._sources = [p for name in self.targets for p in self.networks[name].parameters()]
        on_gpu = self.device.type == "cuda"
        self.adam = torch.optim.Adam(
            self.networks.parameters(), lr=self.lr, betas=(0.9, 0.999), eps=1e-8, fused=True, capturable=on_gpu
        )
        return self.adam

    def prepare_noise(self, batch_size: int) -> None:
        """Make the noise source for batches of B rows, on the module's device and in its dtype."""
        if self.noise is None:
            parameter = next(self.networks.parameters())
            self.noise = NamedNoise(self.draws(batch_size), self.seeds, "update", parameter.device, parameter.dtype)
            self.noise_rows = batch_size

    def training_step(self, work: Work, batch_idx: int) -> None:
        """Make all updates of a trainer step; the last one's metrics are looked at.

        Raises DivergedError when a loss is not finite.
        """
        made = 0
        for batch in work.batches:
            updates, _, batch_size = batch.rewards.shape
            self.prepare_noise(batch_size)
            assert self.noise is not None
            noise = self.noise.sample(updates)
            # Taken apart all at once, which costs less than indexing for every update.
            draws = zip(*(draw.unbind() for draw in noise.values()), strict=True)
            for given, drawn in zip(batch.unbind(), draws, strict=True):
                made += 1
                named = dict(zip(noise, drawn, strict=True))
                self.metrics = self.update(given, named, diagnose=made == work.updates)
            self._count(updates)
        if made:
            self._require_finite()

    def _count(self, updates: int) -> None:
        """Advance Lightning's own counter: `trainer.global_step` is the number of updates, nobody else counts."""
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for tracker in (progress.total, progress.current):
            tracker.ready += updates
            tracker.completed += updates

    def _require_finite(self) -> None:
        """A NaN anywhere reaches the parameters and stays, so looking at the step's last update finds it."""
        names, values = zip(*self.metrics.items(), strict=True)
        finite = torch.stack(values).isfinite()
        if not finite.all():
            bad = finite.logical_not().nonzero().tolist()
            what = ", ".join(f"{names[i]} of seed {self.seeds[p]}" for i, p in bad[:3])
            raise DivergedError(
                f"training diverged at update {self.trainer.global_step}: {what} is not finite; {self.remedy}"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the noise generators to the checkpoint."""
        if self.noise is not None:
            checkpoint["noise"] = {**self.noise.state_dict(), "rows": self.noise_rows}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the generators' states until the device is known."""
        self._saved_noise = checkpoint.get("noise")

    def on_train_start(self) -> None:
        """Restore the noise generators of a continued run."""
        saved = getattr(self, "_saved_noise", None)
        if saved is not None:
            self.prepare_noise(saved["rows"])
            assert self.noise is not None
            self.noise.load_state_dict(saved)
            self._saved_noise = None


def _member_norms(gradients: Sequence[Tensor]) -> Tensor:
    """Each member's global L2 norm over all tensors: (P,)."""
    if gradients[0].shape[0] == 1:
        norms = torch.stack(torch._foreach_norm(list(gradients))).unsqueeze(-1)
    else:
        norms = torch.stack(
            [torch.linalg.vector_norm(g.flatten(1) if g.ndim > 1 else g[:, None], dim=1) for g in gradients]
        )
    return torch.linalg.vector_norm(norms, dim=0)


def _scale_members(gradients: Sequence[Tensor], scale: Tensor) -> None:
    """In place, each member's gradients times its scale (P,)."""
    if len(scale) == 1:
        torch._foreach_mul_(list(gradients), scale.squeeze())
    else:
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *(1,) * (gradient.ndim - 1)))
