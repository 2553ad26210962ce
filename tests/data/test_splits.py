"""No text of a held-out example is in training under any user, whatever users share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from preflamp_backend.data.splits import SplitOptions, components, split

from preflamp_stats.errors import InputError

ITEMS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.frozensets(st.integers(0, 30).map(str), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=40,
)
OPTIONS = st.builds(
    SplitOptions,
    mode=st.sampled_from(["later", "unseen"]),
    validation=st.sampled_from([0.0, 0.3]),
    test=st.sampled_from([0.3, 0.6]),
    held_out=st.integers(1, 2),
    distinct=st.booleans(),
    seed=st.integers(0, 9),
)


@given(ITEMS, OPTIONS)
def test_no_key_is_shared_between_sides(items, options):
    users, keys = [user for user, _ in items], [own for _, own in items]
    try:
        found = split(users, keys, options)
    except InputError:
        return
    sides = found.sides()
    held = {name: frozenset().union(*(keys[at] for at in rows)) for name, rows in sides.items()}
    names = list(held)
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            assert not held[one] & held[other], (one, other)
    # Every item is somewhere, once.
    rows = [at for side in (*sides.values(), found.dropped) for at in side]
    assert sorted(rows) == list(range(len(items)))
    users_of = {name: {users[at] for at in side} for name, side in sides.items()}
    assert not users_of["test"] & users_of.get("validation", set())
    if options.mode == "unseen":
        tested = users_of["test"] | users_of.get("validation", set())
        assert not users_of["train"] & tested
    else:
        assert not found.adapt
    if options.distinct:
        number = components(keys)
        owner: dict[int, str] = {}
        for at in [*found.test, *found.validation]:
            assert owner.setdefault(number[at], users[at]) == users[at]


@given(ITEMS)
def test_components_join_exactly_what_shares_keys(items):
    keys = [own for _, own in items]
    number = components(keys)
    for one, mine in zip(number, keys, strict=True):
        for other, theirs in zip(number, keys, strict=True):
            assert one == other or not mine & theirs
    # Within a component nothing can be parted: growing from one item reaches all of them.
    for wanted in set(number):
        members = {at for at, each in enumerate(number) if each == wanted}
        reached, grown = {min(members)}, set()
        while reached != grown:
            grown = set(reached)
            known = frozenset().union(*(keys[at] for at in grown))
            reached |= {at for at in members if keys[at] & known}
        assert reached == members


def test_the_last_items_are_held_out():
    users = ["a"] * 4 + ["b"] * 4 + ["c"]
    keys = [frozenset({str(at)}) for at in range(9)]
    later = split(users, keys, SplitOptions(validation=0.5, test=0.5, held_out=2))
    assert sorted(later.test + later.validation) == [2, 3, 6, 7]
    assert later.train == [0, 1, 4, 5, 8]
    unseen = split(users, keys, SplitOptions(mode="unseen", validation=0, test=0.5, held_out=1))
    assert unseen.test in ([3], [7])
    assert len(unseen.adapt) == 3
    assert len(unseen.train) == 5


@pytest.mark.parametrize(("distinct", "tested"), [(True, 2), (False, 3)])
def test_a_held_out_text_serves_one_user_or_all_who_share_it(distinct, tested):
    users = [user for user in "abc" for _ in range(3)]
    keys = [frozenset({key}) for key in ("1", "2", "x", "3", "4", "x", "5", "6", "7")]
    found = split(users, keys, SplitOptions(validation=0, test=1, distinct=distinct))
    assert len(found.test) == tested
    assert 8 in found.test
    assert len(found.dropped) == 3 - tested
    assert found.train == [0, 1, 3, 4, 6, 7]


def test_a_user_keeps_the_held_out_texts_that_are_nobody_elses():
    users = [user for user in "ab" for _ in range(4)]
    keys = [frozenset({key}) for key in ("1", "2", "x", "3", "4", "5", "x", "6")]
    found = split(users, keys, SplitOptions(validation=0, test=1, held_out=2))
    assert found.test == [2, 3, 7]
    assert found.dropped == [6]


def test_the_same_seed_draws_the_same_users():
    users = [f"u{at // 3}" for at in range(60)]
    keys = [frozenset({str(at)}) for at in range(60)]
    first, second, other = (split(users, keys, SplitOptions(seed=seed)) for seed in (1, 1, 2))
    assert first == second != other


def test_users_with_one_item_are_refused_in_one_line():
    with pytest.raises(InputError, match="no user has 2 items") as caught:
        split(["a", "b"], [frozenset("p"), frozenset("q")])
    assert len(caught.value.problems) == 1


def test_texts_that_link_everybody_are_refused():
    with pytest.raises(InputError, match="nothing is left for training"):
        split(["a", "a", "b", "b"], [frozenset("p")] * 4)


def test_options_out_of_range_are_all_named():
    with pytest.raises(InputError) as caught:
        SplitOptions(validation=-1.0, test=0.0, held_out=0)
    assert len(caught.value.problems) == 3
