"""The update, shared by all methods.

A method is a set of losses over named networks, a policy, and a table of which networks have Polyak copies. The rest is
here: the joint optimizer, gradient clipping, Polyak averaging, metrics. The update is a function of
(parameters, batch, noise): it never syncs with the host, so it can be captured, compiled, or replayed by tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from qam_torch.algorithms.core.adam_internals import silence_capturable_warning
from qam_torch.algorithms.core.cuda_graph import UpdateResult
from qam_torch.algorithms.core.fast_update import FastUpdate
from qam_torch.algorithms.core.lightning import TrainingModule
from qam_torch.algorithms.core.loss_terms import LossTerm, differentiate
from qam_torch.algorithms.core.member_adam import MemberAdam, load_state_only, member_norms, scale_members
from qam_torch.algorithms.core.members import POSITIVE, UNIT_WITHOUT_0
from qam_torch.algorithms.core.noise import member_generators
from qam_torch.algorithms.core.normalization import Normalization
from qam_torch.algorithms.core.recording import RecordedGradients
from qam_torch.networks import polyak_copy, polyak_update
from qam_torch.types import WINDOW_RULES, Batch, Draw, Noise, Policy, require

__all__ = ["Algorithm", "LossTerm"]


class Algorithm(TrainingModule):
    """Base of all methods: a LightningModule with manual optimization over a population of P members.

    A subclass adds its networks with `add_network`, sets `policy`, and defines `draws` and `losses`.

    Args:
        observation_dim: O.
        action_dim: A, of one environment step.
        seeds: one per member; P = len(seeds). Random draws depend only on the seed, so members with one seed differ
            only in hyperparameters.
        horizon_length: h; >= 1.
        action_chunking: act with whole chunks (D = h A); else D = A, with n-step returns.
        discount: gamma per environment step, (0, 1]; or a list of P.
        lr: learning rate; > 0, or one per member.
        target_update_rate: Polyak rate of the target networks in (0, 1], or one per member.
        clip_grad: clip each member's joint gradient to global norm 1.

    Four attributes set how the update runs and in which precision; set them before the first update. `recorded`
    (default True) records the differentiated losses and replays them. `capture` (default "auto") captures the
    recorded update as a CUDA graph ("auto": if there is a GPU and results agree; True: required; False: never).
    `compile_update` (default False) compiles the recording. `mixed_precision` (default False) computes matrix products
    in bfloat16; parameters, optimizer and network outputs keep their dtype.

    Raises:
        QamError: a value is out of range.

    Source: Li & Levine 2026, training loop of the reference implementation.
    """

    policy: Policy
    collection_policy: Policy | None = None  # collects online experience; None: use `policy`
    behavior_policy: Policy | None = None
    windows: str = WINDOW_RULES[0]  # windowing rule of the data

    def __init__(
        self,
        *,
        observation_dim: int,
        action_dim: int,
        seeds: Sequence[int],
        horizon_length: int,
        action_chunking: bool,
        discount: float | Sequence[float],
        lr: float | Sequence[float],
        target_update_rate: float | Sequence[float],
        clip_grad: bool,
    ) -> None:
        require("seeds", len(seeds) >= 1, seeds, "at least one seed")
        super().__init__(seeds)
        require("horizon_length", horizon_length >= 1, horizon_length, "an integer >= 1")
        self.observation_dim, self.action_dim, self.horizon_length = observation_dim, action_dim, horizon_length
        self.chunk_dim = action_dim * (horizon_length if action_chunking else 1)
        self.set_member_value("discount", discount, UNIT_WITHOUT_0)
        self.derive_member_value("chunk_discount", "discount", lambda one: one**horizon_length)
        self.set_member_value("lr", lr, POSITIVE)
        self.set_member_value("target_update_rate", target_update_rate, UNIT_WITHOUT_0)
        self.clip_grad = clip_grad
        self.networks = nn.ModuleDict()
        self.targets = nn.ModuleDict()
        self.target_rates: dict[str, str] = {}
        self.normalization = Normalization()
        self.recorded = True
        self.capture: str | bool = "auto"
        self.compile_update = False
        self.mixed_precision = False
        self._fast: FastUpdate | None = None
        self._last_outcome = "no update was made"

    # What a method defines

    def add_network(self, name: str, network: nn.Module, polyak: bool = False) -> None:
        """Add an online network, initialized for each member from its seed and the network's name alone.

        Its Polyak copy has the rate `target_update_rate`, unless `target_rates` has another.

        Args:
            name: name of the network, as in `LossTerm.trains` and in checkpoints.
            network: P is the first axis of parameters; `initialize` draws them.
            polyak: whether to keep a Polyak copy, `self.target(name)`.
        """
        network.initialize(member_generators(self.seeds, f"init/{name}"))  # type: ignore[operator]
        self.networks[name] = network
        if polyak:
            self.targets[name] = polyak_copy(network)

    def network(self, name: str) -> Any:
        """A trained network by name."""
        return self.networks[name]

    def target(self, name: str) -> Any:
        """A network's Polyak copy by name."""
        return self.targets[name]

    def normalize(self, mean: Tensor, std: Tensor) -> None:
        """Set the observation mean and std (O,) used for normalization from now on."""
        self.normalization.set(mean, std, next(self.networks.parameters()), self.members)

    @property
    def network_dtype(self) -> torch.dtype:
        """Parameter dtype."""
        return next(self.networks.parameters()).dtype

    @property
    def chunk_discount(self) -> float | Tensor:
        """gamma^h, of a whole chunk: a number or (P, 1)."""
        return self.member_value("chunk_discount", ndim=2)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Named noise of one update; `next_*` is the policy's noise in the TD target."""
        return {f"next_{name}": draw for name, draw in self.policy.draws(batch_size).items()}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The method's objective; observations are normalized, actions are cut to width D = chunk_dim."""
        raise NotImplementedError

    def traces(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Intermediate quantities by name, for inspection and parity checks."""
        return {}

    # The one update

    def next_actions(self, batch: Batch, noise: Noise) -> Tensor:
        """The policy's actions at s', from the `next_*` noise: (P, B, D), detached."""
        own = {name.removeprefix("next_"): draw for name, draw in noise.items() if name.startswith("next_")}
        return self.act(batch.next_observations, own)

    @torch.no_grad()
    def act(self, observations: Tensor, noise: Noise) -> Tensor:
        """Action chunks of the acting policy: (P, B, O), normalized, -> (P, B, D) in [-1, 1]."""
        return self.policy(observations, noise)

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """Evaluate all losses and differentiate them, each network by its own losses only.

        Returns:
            The loss terms, and the gradients in the order of `networks.parameters()`, None where unused.
        """
        batch = self.normalization.normalize_batch(batch._replace(actions=batch.actions[..., : self.chunk_dim]))
        # Without autocast's cache, so that gradients of a weight used several times are summed in float32.
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

    def polyak_rate(self, name: str) -> float | Tensor:
        """Polyak rate in this update: a float, or a tensor (P,) if members or updates differ.

        Args:
            name: name of the rate, "target_update_rate" or a value of `target_rates`.
        """
        return self.member_value(name)

    @torch.no_grad()
    def apply_gradients(self) -> Tensor:
        """Update targets, then clip and step the optimizer; returns the gradient norm before clipping, (P,).

        Targets are updated BEFORE the optimizer's step, from the parameters used in the losses, so a target lags by
        one update, as in the reference.
        """
        gradients = [p.grad for p in self._online if p.grad is not None]
        norm = member_norms(gradients)
        self.divergence.check(norm)
        for name, (averages, parameters) in self._copies.items():
            sources: Sequence[Tensor] = parameters
            if self.divergence.freezes:  # a frozen member's copies do not change; its parameters may be infinite
                pairs = zip(parameters, averages, strict=True)
                sources = [torch.where(self.divergence.alive_like(copy), source, copy) for source, copy in pairs]
            polyak_update(averages, sources, self.polyak_rate(name))
        if self.clip_grad:
            scale_members(gradients, norm.clamp(min=1).reciprocal())
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """name -> (P,): the losses only, or all metrics and losses."""
        if diagnose:
            return {name: value for term in terms for name, value in term.metrics().items()}
        return {f"loss/{i}/{'+'.join(term.trains)}": term.loss.detach() for i, term in enumerate(terms)}

    def update(self, batch: Batch, noise: Noise, diagnose: bool = False) -> dict[str, Tensor]:
        """One update of all members, in place.

        Args:
            batch: fields (P, B, ...).
            noise: the draws named by `draws`, each (P, ...).
            diagnose: also compute every metric.

        Returns:
            Name -> (P,): the losses, or every metric.
        """
        if self._fast is None:
            self._fast = FastUpdate(self.capture, self.recorded, self.device)
        return self._fast(self, batch, noise, diagnose)

    def finish_update(self, report: dict[str, Tensor], gradients: list[Tensor | None], diagnose: bool) -> UpdateResult:
        """Apply the given gradients (targets, clipping, Adam) and report."""
        for p, g in zip(self._online, gradients, strict=True):
            p.grad = g
        norm = self.apply_gradients()
        return UpdateResult({**report, "gradient/norm": norm} if diagnose else report, gradients)

    @property
    def capture_outcome(self) -> str:
        """How updates run, such as "CUDA graph, equal to the recorded update bit for bit"."""
        return self._last_outcome if self._fast is None else self._fast.outcome

    @property
    def recordings(self) -> dict[Any, RecordedGradients]:
        """The recorded updates by key (diagnose, shape of rewards)."""
        return {} if self._fast is None else self._fast.recordings

    def clear_recordings(self) -> None:
        """Drop recordings and graphs, which depend on tensor addresses."""
        self._last_outcome, self._fast = self.capture_outcome, None
        adam = getattr(self, "adam", None)  # made by configure_optimizers
        if isinstance(adam, MemberAdam):
            adam.clear_slices()

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        """Called by torch in `to`, `cpu`, `double`, ..., which move tensors to other memory."""
        self.clear_recordings()
        return super()._apply(*arguments, **options)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam for all trained networks; it is elementwise, so members do not mix."""
        self.clear_recordings()
        # Listed once: traversing modules per update takes longer than stepping a small network.
        self._online = list(self.networks.parameters())
        self._copies: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
        for name, target in self.targets.items():
            rate = self.target_rates.get(name, "target_update_rate")
            averages, parameters = self._copies.setdefault(rate, ([], []))
            averages += target.parameters()
            parameters += self.networks[name].parameters()
        adam: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8, "capturable": self.device.type == "cuda"}
        self.adam: torch.optim.Adam
        rates = self.member_values.get("lr", [self.shared_values["lr"]] * self.members)
        freezes = self.divergence.freezes
        if len(set(rates)) > 1 or freezes:
            self.adam = MemberAdam(self._online, rates, self.divergence if freezes else None, **adam)
        else:
            self.adam = torch.optim.Adam(self._online, lr=rates[0], fused=True, **adam)
        load_state_only(self.adam)
        silence_capturable_warning(self.adam)
        return self.adam
