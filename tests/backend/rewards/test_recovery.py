"""Reward models on users whose preferences are known: what is there is found, nothing more."""

import pytest
import torch
from preflamp_backend.rewards.layered import PalOptions, VplOptions
from preflamp_backend.rewards.linear import LoreOptions, PrefOptions
from preflamp_backend.training_study.methods import adapt_users, fit
from reward_cases import gain, user_accuracies
from simulated_users import simulate_users

torch.set_num_threads(1)

PAL = {"prototypes": 2, "dimension": 32, "learning_rate": 0.01}
TWO = {"types": 2, "width": 4, "new_users": 20}

slow = pytest.mark.slow
PLANTED = [
    pytest.param("lore", LoreOptions(), "types", {}, id="lore"),
    pytest.param("lore", LoreOptions(rank=4), "latent", {}, id="lore-latent"),
    pytest.param("pref", PrefOptions(rank=3), "low-rank", {}, id="pref"),
    pytest.param(
        "pal",
        PalOptions(variant="a", **PAL),
        "ideal-points",
        {"users": 60, "pairs": 60, "strength": 4.0, **TWO},
        id="pal-a",
        marks=slow,
    ),
    pytest.param(
        "pal",
        PalOptions(variant="b", **PAL),
        "prompts",
        {"users": 60, "pairs": 50, "strength": 4.0, **TWO},
        id="pal-b",
        marks=slow,
    ),
    pytest.param(
        "vpl",
        VplOptions(latent=2, learning_rate=0.005),
        "types",
        {"users": 80, "pairs": 40, "strength": 5.0, **TWO},
        id="vpl",
        marks=slow,
    ),
]
"""Each method on preferences of the form that it assumes."""


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("name", "options", "planted", "population"), PLANTED)
def test_planted_preferences_are_found(name, options, planted, population, seed):
    made = simulate_users(planted, seed=seed, **population)
    everybody = fit("bradley-terry", made.train, made.held_out)
    head = fit(name, made.train, made.held_out, options, seed=seed)
    mean, error = gain(head, everybody, made.test)
    # One-sided, at the 0.1 % level, users being the unit.
    assert mean > 3.1 * error
    assert user_accuracies(head, made.test).mean() > made.bayes - 0.03
    # New users with 8 pairs each.
    adapted = adapt_users(head, made.few)
    mean, error = gain(adapted, head, made.few_test)
    assert mean > 2 * error


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_everybody_alike_is_what_bradley_terry_finds(seed):
    made = simulate_users("one-type", seed=seed)
    head = fit("bradley-terry", made.train, made.held_out)
    assert user_accuracies(head, made.test).mean() > made.bayes - 0.03


FAILING = [
    pytest.param("lore", LoreOptions(), id="lore"),
    pytest.param("pref", PrefOptions(), id="pref"),
    pytest.param("pal", PalOptions(variant="a"), id="pal-a", marks=slow),
    pytest.param("pal", PalOptions(variant="b"), id="pal-b", marks=slow),
    pytest.param("vpl", VplOptions(), id="vpl", marks=slow),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("planted", ["one-type", "noise"])
@pytest.mark.parametrize(("name", "options"), FAILING)
def test_no_gain_is_claimed_where_there_is_none(name, options, planted, seed):
    made = simulate_users(planted, seed=seed)
    everybody = fit("bradley-terry", made.train, made.held_out)
    head = fit(name, made.train, made.held_out, options, seed=seed)
    mean, error = gain(head, everybody, made.test)
    # The lower end of the 95 % interval is not above 0.
    assert mean - 1.96 * error <= 0
    adapted = adapt_users(head, made.few)
    mean, error = gain(adapted, everybody, made.few_test)
    assert mean - 1.96 * error <= 0


@pytest.mark.parametrize("seed", [0, 1])
def test_where_all_are_alike_lore_and_pref_lose_little(seed):
    made = simulate_users("one-type", seed=seed)
    everybody = fit("bradley-terry", made.train, made.held_out)
    for name in ("lore", "pref"):
        head = fit(name, made.train, made.held_out, seed=seed)
        assert gain(head, everybody, made.test)[0] > -0.03
