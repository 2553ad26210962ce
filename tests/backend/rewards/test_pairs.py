import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from preflamp_backend.training.features import PairFeatures, split_off

from preflamp_stats.errors import InputError


def pairs_of(users: str) -> PairFeatures:
    states = torch.arange(len(users) * 2.0).view(-1, 2)
    return PairFeatures(tuple(users), states, -states, states + 1)


def test_users_and_rows():
    pairs = pairs_of("bab")
    assert pairs.names == ("a", "b")
    assert {user: rows.tolist() for user, rows in pairs.by_user().items()} == {
        "a": [1],
        "b": [0, 2],
    }
    assert pairs.of("b").chosen.tolist() == [[0, 1], [4, 5]]
    assert len(pairs.of("nobody")) == 0
    assert torch.equal(pairs.swapped().chosen, pairs.rejected)
    assert torch.equal(pairs.both[:, 1], pairs.rejected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_and_located(bad):
    chosen = torch.zeros(4, 3)
    chosen[2, 1] = bad
    with pytest.raises(InputError, match="chosen: is not finite in 1 of 4 pairs, first in pair 2"):
        PairFeatures(("u",) * 4, chosen, torch.zeros(4, 3), torch.zeros(4, 3))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\(4, 2\), \(4, 3\)"):
        PairFeatures(("u",) * 4, torch.zeros(4, 3), torch.zeros(4, 2), torch.zeros(4, 3))
    with pytest.raises(InputError, match="3 users"):
        PairFeatures(("u",) * 3, *torch.zeros(3, 4, 2))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(0, 3))
def test_split_keeps_every_row_once_and_a_row_of_everybody(users, seed):
    try:
        kept, away = split_off(users, 0.25, seed)
    except InputError:
        assert max(map(users.count, set(users))) < 4
        return
    assert sorted(kept + away) == list(range(len(users)))
    assert {users[row] for row in kept} == set(users)
    for user in set(users):
        assert sum(users[row] == user for row in away) == users.count(user) // 4
