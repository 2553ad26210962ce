from typing import get_args

import pytest
import torch
from simulated_users import Planted, simulate_users

from preflamp_stats.errors import InputError

KINDS = get_args(Planted)


@pytest.mark.parametrize("planted", KINDS)
def test_shapes_and_seeds(planted):
    one, two, other = (
        simulate_users(planted, users=4, pairs=8, new_users=2, width=6, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one.train.chosen.shape == (32, 6)
    assert len(one.held_out) == 8
    assert one.few.names == ("new0000", "new0001")
    assert torch.equal(one.train.chosen, two.train.chosen)
    assert not torch.equal(one.train.chosen, other.train.chosen)


@pytest.mark.parametrize("planted", [kind for kind in KINDS if kind != "noise"])
def test_limit_is_above_chance_and_below_one(planted):
    assert 0.7 < simulate_users(planted, users=10).bayes < 0.99


def test_limit_is_reached_by_who_knows_the_preference():
    # One type in one dimension: the weight's sign is all there is to know.
    made = simulate_users("one-type", users=50, width=1, test_pairs=200)
    sign = (made.train.chosen - made.train.rejected).mean().sign()
    right = (sign * (made.test.chosen - made.test.rejected) > 0).float().mean().item()
    assert right == pytest.approx(made.bayes, abs=0.01)


def test_noise_cannot_be_predicted():
    assert simulate_users("noise").bayes == 0.5


def test_no_users_at_all():
    assert len(simulate_users("types", new_users=0).few) == 0


def test_unknown_kind():
    with pytest.raises(InputError, match="ideal-points"):
        simulate_users("something")
