"""The interface that all reward models on features have in common."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from preflamp_backend.models.heads.head import load_head, save_head
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.user_rows import predicted
from preflamp_backend.training_study.methods import adapt_user, adapt_users, fit
from reward_cases import PERSONAL, SMALL
from simulated_users import simulate_users

from preflamp_stats.errors import InputError

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made():
    return simulate_users("types", users=6, pairs=12, new_users=2, few=4, test_pairs=5, width=5)


@pytest.fixture(scope="module")
def heads(made):
    return {
        kind: fit(name, made.train, made.held_out, options)
        for kind, (name, options) in SMALL.items()
    }


@pytest.fixture(params=SMALL)
def kind(request):
    return request.param


def rewards(head, pairs):
    user = head.for_users(head.rows_of(pairs.users))
    return head(pairs.both, user, pairs.prompt)


def test_saved_and_loaded_it_gives_the_same_rewards(heads, kind, made, tmp_path):
    save_head(tmp_path / "head.safetensors", heads[kind])
    again = load_head(tmp_path / "head.safetensors")
    assert type(again) is type(heads[kind])
    assert torch.equal(rewards(again, made.test), rewards(heads[kind], made.test))


def test_linear_form_gives_the_same_rewards(heads, kind, made):
    head = heads[kind]
    user = head.for_users(head.rows_of(made.test.users))
    linear = head.as_linear(user)
    assert (linear is None) == (kind in ("pal-a", "pal-b", "vpl"))
    if linear is not None:
        weight, bias = linear
        ours = (made.test.both @ weight[..., None])[..., 0] + bias[:, None]
        torch.testing.assert_close(ours, rewards(head, made.test))


def test_reward_of_a_prefix_does_not_depend_on_the_others(heads, kind, made):
    head, pairs = heads[kind], made.test
    user = head.for_users(head.rows_of(pairs.users))
    one = head(pairs.both[:, :1], user, pairs.prompt)
    torch.testing.assert_close(one, rewards(head, pairs)[:, :1])


def test_swapped_pairs_have_the_opposite_margin(heads, kind, made):
    margin = predicted(heads[kind], made.test)
    torch.testing.assert_close(predicted(heads[kind], made.test.swapped()), -margin)


@pytest.mark.parametrize("kind", ["bradley-terry", "lore", "pref"])
def test_order_of_pairs_changes_no_row(kind, made):
    """Users are rows by name. Where batches are drawn by place, another order is another seed.

    All pairs are one batch, and AdamW steps: L-BFGS would magnify the rounding of sums in another
    order until, on some machines, it ends in another optimum.
    """
    name, options = SMALL[kind]
    options = replace(options, optimizer="adamw", batch_size=len(made.train), epochs=20)
    order = torch.randperm(len(made.train), generator=torch.Generator().manual_seed(1))
    one = fit(name, made.train, made.held_out, options)
    two = fit(name, made.train.select(order), made.held_out, options)
    assert one.users == two.users
    torch.testing.assert_close(
        predicted(one, made.test), predicted(two, made.test), atol=1e-4, rtol=1e-4
    )


def test_a_user_who_is_not_known_has_the_row_of_everybody(heads, kind, made):
    head = heads[kind]
    stranger = PairFeatures(("who",) * len(made.test), *states_of(made.test))
    everybody = PairFeatures(("",) * len(made.test), *states_of(made.test))
    assert torch.equal(predicted(head, stranger), predicted(head, everybody))
    without = adapt_user(head, "who", made.few.of("who"))
    assert torch.equal(predicted(without, stranger), predicted(head, stranger))


def states_of(pairs):
    return pairs.chosen, pairs.rejected, pairs.prompt


@pytest.mark.parametrize("kind", PERSONAL)
def test_adapting_gives_a_row_and_changes_nothing_else(heads, kind, made):
    head = heads[kind]
    adapted = adapt_users(head, made.few)
    assert adapted.users == (*head.users, "new0000", "new0001")
    assert torch.equal(predicted(adapted, made.test), predicted(head, made.test))
    assert not torch.equal(predicted(adapted, made.few_test), predicted(head, made.few_test))
    again = adapt_users(head, made.few)
    assert torch.equal(again.user, adapted.user)


@pytest.mark.parametrize("kind", ["lore", "pal-a", "pal-b", "pref"])
def test_adapting_makes_the_users_choices_more_probable(heads, kind, made):
    before = -torch.nn.functional.logsigmoid(predicted(heads[kind], made.few))
    adapted = adapt_users(heads[kind], made.few)
    after = -torch.nn.functional.logsigmoid(predicted(adapted, made.few))
    assert after.mean() < before.mean()


@pytest.mark.parametrize("kind", PERSONAL)
def test_a_user_with_one_pair_can_be_trained_on_and_adapted_to(kind, made):
    name, options = SMALL[kind]
    rows = [*range(24), 30]
    train = made.train.select(rows)
    assert train.users.count("u0002") == 1
    head = fit(name, train, made.held_out, options)
    assert torch.isfinite(predicted(head, made.test)).all()
    one = adapt_user(head, "new0000", made.few.select([0]))
    assert torch.isfinite(predicted(one, made.few_test)).all()


@pytest.mark.parametrize("kind", PERSONAL)
def test_every_user_with_one_pair(kind, made):
    name, options = SMALL[kind]
    head = fit(name, made.train.select([0, 12, 24]), made.held_out, options)
    assert torch.isfinite(predicted(head, made.test)).all()


def test_equal_and_repeated_pairs_do_not_break_a_fit(kind, made):
    name, options = SMALL[kind]
    train = made.train.select([*range(20), 3, 3, 3])
    rejected = train.rejected.clone()
    rejected[5] = train.chosen[5]
    odd = PairFeatures(train.users, train.chosen, rejected, train.prompt)
    assert torch.isfinite(predicted(fit(name, odd, made.held_out, options), made.test)).all()


def test_a_feature_that_never_varies(kind, made):
    def flat(pairs):
        states = [each.clone() for each in states_of(pairs)]
        for each in states:
            each[:, 2] = 4.0
        return PairFeatures(pairs.users, *states)

    name, options = SMALL[kind]
    head = fit(name, flat(made.train), flat(made.held_out), options)
    assert torch.isfinite(predicted(head, flat(made.test))).all()


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 5))
@settings(max_examples=8, deadline=None)
def test_scale_of_features_changes_no_choice(factor, seed):
    made = simulate_users("one-type", users=3, pairs=15, test_pairs=6, width=3, seed=seed)

    def scaled(pairs):
        return PairFeatures(pairs.users, *(each * factor for each in states_of(pairs)))

    name, options = SMALL["bradley-terry"]
    one = predicted(fit(name, made.train, made.held_out, options), made.test)
    two = predicted(
        fit(name, scaled(made.train), scaled(made.held_out), options), scaled(made.test)
    )
    torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)


def test_bad_input_is_named(heads, made):
    nothing = made.train.select([])
    narrow = PairFeatures(made.train.users, *(each[:, :3] for each in states_of(made.train)))
    with pytest.raises(InputError, match="choose one of bradley-terry, lore"):
        fit("loren", made.train, made.held_out)
    with pytest.raises(InputError, match="pairs: holds no pair"):
        fit("lore", nothing, made.held_out)
    with pytest.raises(InputError, match="held_out: holds no pair"):
        fit("lore", made.train, nothing)
    with pytest.raises(InputError, match="width 3"):
        fit("lore", made.train, narrow)
    with pytest.raises(InputError, match="holds pairs of 'u0000'"):
        adapt_user(heads["lore"], "new", narrow)
    for kind in PERSONAL:
        with pytest.raises(InputError, match="width 3"):
            adapt_user(heads[kind], "u0000", narrow.of("u0000"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("lore", {"rank": 0, "reference": -1.0, "epochs": 0}),
        ("pal-a", {"variant": "c", "loss": "square", "penalty": -1.0}),
        ("pref", {"rank": 0, "basis_penalty": -1.0, "optimizer": "sgd"}),
        ("vpl", {"latent": 0, "kl": -1.0, "context": 0}),
        ("bradley-terry", {"penalty": float("nan"), "patience": 0, "learning_rate": 0.0}),
    ],
)
def test_every_bad_option_is_named(kind, options):
    with pytest.raises(InputError) as error:
        type(SMALL[kind][1])(**options)
    assert [problem.variable for problem in error.value.problems] == sorted(
        options, key=[problem.variable for problem in error.value.problems].index
    )
    assert len(error.value.problems) == len(options)
