"""The reward models by name, behind one interface: heads on features, and language models.

``fit`` learns a head from the pairs of known users; ``adapt_user`` gives a new user a row from a
few pairs and leaves everything else as it is. A user without pairs is served by the row of
everybody. ``fit_tokens`` trains a language model on pairs and writes its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from preflamp_backend.data.examples import Example
from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import RewardHead, UserTableHead
from preflamp_backend.models.heads.layers import VplHead
from preflamp_backend.models.loading import ModelSource
from preflamp_backend.rewards import layered, linear
from preflamp_backend.rewards.token_models import GenArmOptions, PRlhfOptions, fit_genarm, fit_p_dpo
from preflamp_backend.study.study import Kind
from preflamp_backend.training.features import PairFeatures
from preflamp_backend.training.loop import Task, TrainingOptions
from preflamp_backend.training.token_pairs import TokenTask
from preflamp_backend.training.user_rows import adapt_row


class FeatureMethod(NamedTuple):
    """A reward model on features: the class of its options, and what fits a head to a task."""

    options: type[TrainingOptions]
    fit: Callable[[Task], RewardHead]


FEATURE_METHODS = {
    "bradley-terry": FeatureMethod(linear.BradleyTerryOptions, linear.fit_bradley_terry),
    "lore": FeatureMethod(linear.LoreOptions, linear.fit_lore),
    "pal": FeatureMethod(layered.PalOptions, layered.fit_pal),
    "pref": FeatureMethod(linear.PrefOptions, linear.fit_pref),
    "vpl": FeatureMethod(layered.VplOptions, layered.fit_vpl),
}
"""Each method by the name that a study calls it."""


def fit(
    name: str,
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: TrainingOptions | None = None,
    **run: Any,
) -> RewardHead:
    """Fit a reward model.

    Parameters
    ----------
    name : str
        One of :data:`FEATURE_METHODS`.
    pairs : PairFeatures
        To learn from.
    held_out : PairFeatures
        To stop early by, of the same users; those who are not among them are judged by the row of
        everybody. See :func:`preflamp_backend.training.features.split_off`.
    options : TrainingOptions, optional
        Of the method's own class.
    **run
        ``seed``, ``report`` and ``checkpoint`` of :class:`preflamp_backend.training.loop.Task`.
        Same data, options and seed: the same head to the bit, whatever the number of threads.

    Returns
    -------
    RewardHead

    Raises
    ------
    InputError
        For an unknown name, no pairs, or features of different widths.
    """
    if name not in FEATURE_METHODS:
        raise fault(f"is {name!r}", f"choose one of {', '.join(FEATURE_METHODS)}", variable="model")
    for what, each in (("pairs", pairs), ("held_out", held_out)):
        if not len(each):
            raise fault("holds no pair", "give some", variable=what)
    if pairs.width != held_out.width:
        what = f"has features of width {held_out.width}, the training pairs of {pairs.width}"
        raise fault(what, "read both with the same base model", variable="held_out")
    method = FEATURE_METHODS[name]
    return method.fit(Task(pairs, held_out, options or method.options(), **run))


def adapt_user(head: RewardHead, user: str, pairs: PairFeatures) -> RewardHead:
    """Give a user a row from their pairs.

    Parameters
    ----------
    head : RewardHead
        Stays as it is.
    user : str
    pairs : PairFeatures
        The user's; where there are none the head is returned, and its row of everybody serves.

    Returns
    -------
    RewardHead

    Raises
    ------
    InputError
        If the pairs are of another width, or name another user.
    """
    others = sorted(set(pairs.users) - {user})
    if others:
        raise fault(f"holds pairs of {others[0]!r}", f"give pairs of {user!r} alone")
    if not len(pairs) or not isinstance(head, UserTableHead):
        return head
    if isinstance(head, VplHead):
        return head.with_rows({user: layered.infer_row(head, pairs)})
    return head.with_rows({user: adapt_row(head, pairs, penalty=float(head.config()["penalty"]))})


def adapt_users(head: RewardHead, pairs: PairFeatures) -> RewardHead:
    """Give each user of pairs a row who has none yet."""
    for user, rows in pairs.by_user().items():
        if user not in head.users:
            head = adapt_user(head, user, pairs.select(rows))
    return head


class TokenMethod(NamedTuple):
    """A reward model that is token by token.

    Attributes
    ----------
    name : str
        What it is called in its key.
    kind : str
        Kind of method that it serves.
    options : type
        Its options.
    fit : callable
        Trains it and writes its folder.
    adapts : bool
        Whether new users get something of their own.
    """

    name: str
    kind: Kind
    options: type[TrainingOptions]
    fit: Callable[[TokenTask], None]
    adapts: bool


TOKEN_METHODS = {
    "genarm": TokenMethod("genarm", "autoregressive", GenArmOptions, fit_genarm, False),
    "p-rlhf": TokenMethod("p-dpo", "p-dpo", PRlhfOptions, fit_p_dpo, True),
}
"""Each method by the name that a study calls it."""


def token_task(
    name: str,
    base: ModelSource,
    train: Sequence[Example],
    held_out: Sequence[Example],
    options: TrainingOptions,
    folder: str | Path,
    *,
    adapt: Sequence[Example] = (),
    **run: Any,
) -> TokenTask:
    """What one of :data:`TOKEN_METHODS` is trained by; users to adapt to where it adapts."""
    late = adapt if TOKEN_METHODS[name].adapts else None
    return TokenTask(base, train, held_out, options, Path(folder), late, **run)


def fit_tokens(name: str, *arguments: Any, **run: Any) -> None:
    """Train one of :data:`TOKEN_METHODS` by its :func:`token_task`."""
    TOKEN_METHODS[name].fit(token_task(name, *arguments, **run))
