import numpy as np
import pytest
import statsmodels.api as sm
import torch
from preflamp_backend.rewards.linear import BradleyTerryOptions, LoreOptions
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training_study.methods import adapt_user, fit
from simulated_users import simulate_users


def differences(pairs: PairFeatures) -> np.ndarray:
    return (pairs.chosen.double() - pairs.rejected.double()).numpy()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_without_penalty_it_is_logistic_regression(scale):
    made = simulate_users("one-type", users=10, pairs=40, width=5, strength=1.5)
    rows = torch.arange(5) + 1.0
    stretched = PairFeatures(
        made.train.users,
        made.train.chosen * rows * scale + 7,
        made.train.rejected * rows * scale + 7,
        made.train.prompt,
    )
    # Held out on what it learns from: nothing but the maximum stops it.
    head = fit("bradley-terry", stretched, stretched, BradleyTerryOptions(penalty=0.0))
    # A difference and its negative with the label turned round: Logit needs both labels.
    x = differences(stretched)
    label = np.arange(len(x)) % 2
    signed = np.where(label[:, None] == 1, x, -x)
    expected = sm.Logit(label, signed).fit(disp=0, tol=1e-12).params
    ours = head.weight[0].numpy() * rows.numpy() * scale
    np.testing.assert_allclose(ours, expected * rows.numpy() * scale, atol=1e-4)


def test_penalty_shrinks():
    made = simulate_users("one-type", users=5, pairs=20, width=4)
    norms = [
        fit("bradley-terry", made.train, made.train, BradleyTerryOptions(penalty=each))
        .weight.norm()
        .item()
        for each in (0.0, 1.0, 100.0)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_everybody_has_the_same_row():
    made = simulate_users("types", users=6, pairs=10, width=4)
    head = fit("bradley-terry", made.train, made.held_out, BradleyTerryOptions())
    assert head.users == ("",)
    assert adapt_user(head, "new0000", made.few.of("new0000")) is head


def test_lore_of_rank_one_is_bradley_terry():
    made = simulate_users("types", users=6, pairs=20, width=4)
    everybody = fit("bradley-terry", made.train, made.held_out, BradleyTerryOptions())
    # The reference is the global weight, and with rank 1 nothing but the data pulls from it.
    lore = fit("lore", made.train, made.held_out, LoreOptions(rank=1, reference=1e6))
    user = lore.for_users(lore.rows_of(["u0001"]))
    torch.testing.assert_close(lore.as_linear(user)[0], everybody.weight, atol=1e-3, rtol=1e-3)
