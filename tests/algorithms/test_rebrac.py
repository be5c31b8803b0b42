"""ReBRAC's targets move at every second update, its policy at every one: what the recorded runs do."""

from __future__ import annotations

import copy

import pytest
import torch

from qam_torch.algorithms import ReBRAC
from qam_torch.types import QamError
from tests.helpers.algorithms import make, make_batch, make_noise


def moved(algorithm: ReBRAC, recorded: bool, updates: int) -> list[tuple[bool, bool]]:
    """For each update, whether the targets and the policy moved."""
    algorithm.recorded = recorded
    noise = make_noise(algorithm, updates)
    found = []
    for u in range(updates):
        before = copy.deepcopy([algorithm.targets.state_dict(), algorithm.networks["actor"].state_dict()])
        algorithm.update(make_batch(1, seed=u), {name: draw[u] for name, draw in noise.items()})
        after = [algorithm.targets.state_dict(), algorithm.networks["actor"].state_dict()]
        changed = [any(not torch.equal(a[name], b[name]) for name in a) for a, b in zip(before, after, strict=True)]
        found.append((changed[0], changed[1]))
    return found


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(("every", "expected"), [(2, [0, 1, 0, 1, 0]), (3, [0, 0, 1, 0, 0]), (1, [1, 1, 1, 1, 1])])
def test_targets_move_at_every_so_many_th_update_and_the_policy_at_all(
    every: int, expected: list[int], recorded: bool
) -> None:
    algorithm = make(ReBRAC, target_update_every=every)
    assert isinstance(algorithm, ReBRAC)
    for p in algorithm.targets.parameters():
        p.data += 1  # a copy that equals its source stays where it is
    assert moved(algorithm, recorded, 5) == [(bool(target), True) for target in expected]


def test_targets_move_by_the_whole_rate_when_it_is_their_turn() -> None:
    algorithm = make(ReBRAC, target_update_rate=0.25)
    assert isinstance(algorithm, ReBRAC)
    moved(algorithm, False, 1)
    online = {name: p.clone() for name, p in algorithm.networks.named_parameters()}
    target = {name: p.clone() for name, p in algorithm.targets.named_parameters()}
    moved(algorithm, False, 1)
    for name, p in algorithm.targets.named_parameters():
        torch.testing.assert_close(p, 0.25 * online[name] + 0.75 * target[name], rtol=1e-12, atol=1e-15)


def test_a_continued_run_keeps_step() -> None:
    first = make(ReBRAC)
    assert isinstance(first, ReBRAC)
    moved(first, False, 1)
    second = make(ReBRAC)
    second.load_state_dict(first.state_dict())
    assert isinstance(second, ReBRAC)
    assert [target for target, _ in moved(second, False, 3)] == [True, False, True]


def test_the_td_target_acts_with_the_polyak_copy_and_clipped_noise() -> None:
    algorithm = make(ReBRAC, actor_noise=0.2, actor_noise_clip=0.5)
    batch = make_batch(1)
    with torch.no_grad():
        for p in algorithm.targets["actor"].parameters():
            p.zero_()  # its mode is 0 everywhere
    noise = torch.full((1, 6, 6), 1.0, dtype=torch.float64)
    noise[..., 3:] = 10.0
    actions = algorithm.next_actions(batch, {"next_noise": noise})
    torch.testing.assert_close(actions[..., :3], torch.full((1, 6, 3), 0.2, dtype=torch.float64))
    torch.testing.assert_close(actions[..., 3:], torch.full((1, 6, 3), 0.5, dtype=torch.float64))
    assert not torch.allclose(algorithm.act(batch.next_observations, {"noise": noise}), actions)


@pytest.mark.parametrize(
    ("option", "value"),
    [("alpha_actor", -0.1), ("actor_noise", -1.0), ("actor_noise_clip", 0.0), ("target_update_every", 0)],
)
def test_numbers_out_of_range_are_refused_by_name(option: str, value: float) -> None:
    with pytest.raises(QamError, match=option):
        make(ReBRAC, **{option: value})
