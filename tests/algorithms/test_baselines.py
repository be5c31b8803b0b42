"""What is particular to single baselines."""

from __future__ import annotations

import pytest
import torch

from qam_torch.algorithms import (
    BAM,
    CGQL,
    CGQLMSE,
    DAC,
    DSRL,
    FAWAC,
    FBRAC,
    FQL,
    IFQL,
    QAM,
    QSM,
    RLPD,
    Algorithm,
    CGQLLinex,
    FEdit,
    ReBRAC,
)
from qam_torch.types import QamError
from tests.helpers.algorithms import make, make_batch, make_noise


def one(algorithm: Algorithm) -> dict[str, torch.Tensor]:
    return {name: draw[0] for name, draw in make_noise(algorithm).items()}


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (FQL, "fql_alpha", -1.0),
        (FEdit, "edit_scale", -1.0),
        (FBRAC, "fbrac_alpha", 0.0),
        (FAWAC, "inv_temp", 0.0),
        (IFQL, "kappa", 1.0),
        (IFQL, "kappa", 0.0),
        (CGQL, "inv_temp", 0.0),
        (CGQL, "guidance_coef", -1.0),
        (CGQLMSE, "noisy_coef", 0.0),
        (DSRL, "noise_scale", 0.0),
        (BAM, "flow_steps", 1),
        (BAM, "inv_temp", -1.0),
        (QSM, "inv_temp", 0.0),
        (QSM, "diffusion_steps", 0),
        (DAC, "time_dim", 3),
        (DAC, "bc_alpha", -1.0),
        (RLPD, "bc_alpha", -1.0),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(kind: type[Algorithm], option: str, value: float) -> None:
    with pytest.raises(QamError, match=option):
        make(kind, **{option: value})


@pytest.mark.parametrize("kind", [QAM, BAM, QSM, DAC])
def test_these_clip_the_gradient(kind: type[Algorithm]) -> None:
    assert make(kind).clip_grad


@pytest.mark.parametrize(
    "kind",
    [FQL, FEdit, FBRAC, FAWAC, IFQL, CGQL, CGQLMSE, CGQLLinex, DSRL, ReBRAC, RLPD],
    ids=lambda kind: kind.__name__,
)
def test_these_do_not(kind: type[Algorithm]) -> None:
    assert not make(kind).clip_grad


def test_polyak_copies_are_where_a_method_needs_them() -> None:
    copies = {kind: set(make(kind).targets) for kind in (FQL, FEdit, FBRAC, FAWAC, IFQL, CGQL, DSRL, ReBRAC, BAM, QSM)}
    assert copies.pop(ReBRAC) == {"critic", "actor"}
    assert {kind for kind, names in copies.items() if names == {"critic", "f_beta"}} == {CGQL, DSRL, BAM}
    assert all(names == {"critic"} for kind, names in copies.items() if kind not in (CGQL, DSRL, BAM))


def test_only_a_flow_that_imitates_alone_is_a_behavior_policy() -> None:
    with_behavior = {kind for kind in (FQL, FEdit, IFQL, CGQL, DSRL, BAM) if make(kind).behavior_policy is not None}
    assert with_behavior == {FQL, FEdit, IFQL, CGQL, DSRL, BAM}
    assert all(make(kind).behavior_policy is None for kind in (FBRAC, FAWAC, ReBRAC, QSM, DAC, RLPD))


def test_ifql_draws_no_next_action_and_values_the_next_state_by_v() -> None:
    algorithm, batch = make(IFQL), make_batch(1)
    assert not [name for name in algorithm.draws(6) if name.startswith("next_")]
    assert isinstance(algorithm, IFQL)
    target = algorithm.critic_target(batch, {})
    value = algorithm.networks["value"](batch.next_observations)
    torch.testing.assert_close(target, batch.rewards + 0.99**3 * batch.masks * value)


def test_cgql_without_guidance_is_its_behavior_flow() -> None:
    algorithm, states = make(CGQL, guidance_coef=0.0), make_batch(1).observations
    noise = {"noise": torch.randn(1, 6, 6, dtype=torch.float64)}
    assert algorithm.behavior_policy is not None
    with torch.no_grad():
        torch.testing.assert_close(algorithm.act(states, noise), algorithm.behavior_policy(states, noise))


def test_cgql_asks_its_critic_about_real_actions_and_its_variants_about_half_denoised_ones() -> None:
    states, x = make_batch(1).observations, torch.randn(1, 6, 6, dtype=torch.float64)
    plain, noisy = make(CGQL), make(CGQLMSE)
    noisy.networks["critic"].load_state_dict(plain.networks["critic"].state_dict())
    assert isinstance(plain, CGQL) and isinstance(noisy, CGQL)
    torch.testing.assert_close(plain.guidance(states, x, 1.0), noisy.guidance(states, x, 1.0))
    assert not torch.allclose(plain.guidance(states, x, 0.5), noisy.guidance(states, x, 0.5))


def test_fawac_imitates_the_better_actions_more() -> None:
    algorithm, batch = make(FAWAC, inv_temp=2.0), make_batch(1)
    assert isinstance(algorithm, FAWAC)
    with torch.no_grad():
        q = algorithm.networks["critic"](batch.observations, batch.actions).mean(-2)
        advantage = q - algorithm.networks["value"](batch.observations)
    torch.testing.assert_close(algorithm.flow_weights(batch), batch.valid * (2 * advantage).exp().clamp(max=100))


def test_dsrl_keeps_its_latents_within_the_scale() -> None:
    algorithm, states = make(DSRL, noise_scale=0.4), make_batch(1).observations
    assert isinstance(algorithm, DSRL)
    latents = algorithm.latent(states, 100 * torch.randn(1, 6, 6, dtype=torch.float64))
    assert latents.abs().max().item() == pytest.approx(0.4)


def test_rlpd_takes_actions_on_the_box_s_edge() -> None:
    algorithm, batch = make(RLPD, bc_alpha=1.0), make_batch(1)
    edge = batch._replace(actions=batch.actions.sign())
    assert all(term.loss.isfinite().all() for term in algorithm.losses(edge, one(algorithm)))


@pytest.mark.parametrize("kind", [QSM, DAC])
def test_a_row_that_is_not_valid_adds_a_constant_to_the_score_loss(kind: type[Algorithm]) -> None:
    """As recorded; see also the closed form in tests/objectives."""
    algorithm = make(kind)
    nothing = make_batch(1)._replace(valid=torch.zeros(1, 6, dtype=torch.float64))
    terms, gradients = algorithm.gradients(nothing, one(algorithm))
    assert [term.loss.item() for term in terms] == [0, 0, 1]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
