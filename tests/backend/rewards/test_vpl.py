import torch
from preflamp_backend.models.heads.layers import VplHead
from preflamp_backend.rewards.layered import _Contexts
from preflamp_backend.training.features import PairFeatures


def pairs_of(users: str) -> PairFeatures:
    states = torch.arange(len(users) * 3.0).view(-1, 3)
    return PairFeatures(tuple(users), states, states + 1, states)


def test_a_context_holds_other_pairs_of_the_same_user():
    pairs = pairs_of("abacaba")
    contexts = _Contexts(pairs, 3)
    every = torch.arange(len(pairs))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        rows, there = contexts.draw(contexts.user[every], every, generator)
        for row in range(len(pairs)):
            shown = rows[row][there[row]].tolist()
            assert row not in shown
            assert len(set(shown)) == len(shown)
            assert all(pairs.users[each] == pairs.users[row] for each in shown)
            # The user with one pair has none besides; every other sees at least one.
            assert bool(shown) == (pairs.users[row] != "c")


def test_without_pairs_it_is_the_prior_and_absent_pairs_change_nothing():
    head = VplHead(("",), 3, 2, 4, 8)
    generator = torch.Generator().manual_seed(0)
    chosen, rejected = torch.randn(2, 1, 4, 3, generator=generator)
    none = torch.zeros(1, 4, dtype=torch.bool)
    mean, log_variance = head.infer(chosen, rejected, none)
    assert mean.tolist() == log_variance.tolist() == [[0.0, 0.0]]
    some = torch.tensor([[True, True, False, False]])
    padded = head.infer(chosen, rejected, some)
    alone = head.infer(chosen[:, :2], rejected[:, :2], some[:, :2])
    torch.testing.assert_close(padded, alone)
