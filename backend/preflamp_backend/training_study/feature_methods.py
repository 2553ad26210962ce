"""The reward models that learn from features, by name, behind one interface.

``fit`` learns from the pairs of known users; ``adapt_user`` gives a new user a row from a few pairs
and leaves everything else as it is. A user without pairs is served by the row of everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflamp_backend.models.heads.head import RewardHead
from preflamp_backend.rewards import bradley_terry, lore, pal, pref, vpl
from preflamp_backend.training.loop import Report, TrainingOptions
from preflamp_backend.training.pairs import PairFeatures
from preflamp_stats.errors import InputError, Problem

__all__ = ["FEATURE_METHODS", "FeatureMethod", "adapt_user", "adapt_users", "fit"]

_Adapt = Callable[[Any, str, PairFeatures], RewardHead]


@dataclass(frozen=True)
class FeatureMethod:
    """A reward model on features.

    Attributes
    ----------
    options : type
        Its options.
    fit : callable
        ``fit(pairs, held_out, options, seed=, report=, checkpoint=)`` to a head.
    """

    options: type[TrainingOptions]
    fit: Callable[..., RewardHead]


FEATURE_METHODS = {
    "bradley-terry": FeatureMethod(bradley_terry.BradleyTerryOptions, bradley_terry.fit),
    "lore": FeatureMethod(lore.LoreOptions, lore.fit),
    "pal": FeatureMethod(pal.PalOptions, pal.fit),
    "pref": FeatureMethod(pref.PrefOptions, pref.fit),
    "vpl": FeatureMethod(vpl.VplOptions, vpl.fit),
}
"""Each method by the name that a study calls it."""

_ADAPTERS: dict[str, _Adapt] = {
    "linear": bradley_terry.adapt,
    "lore": lore.adapt,
    "pal-a": pal.adapt,
    "pal-b": pal.adapt,
    "pref": pref.adapt,
    "vpl": vpl.adapt,
}
"""How a head of each kind takes up a new user."""


def fit(
    name: str,
    pairs: PairFeatures,
    held_out: PairFeatures,
    options: TrainingOptions | None = None,
    *,
    seed: int = 0,
    report: Report | None = None,
    checkpoint: Path | None = None,
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
        everybody. See :func:`preflamp_backend.training.pairs.split_off`.
    options : TrainingOptions, optional
        Of the method's own class.
    seed : int
        Same data, options and seed: the same head to the bit, whatever the number of threads.
    report : callable, optional
        Called after every epoch.
    checkpoint : Path, optional
        Where the run is kept meanwhile, so that a stopped one goes on.

    Returns
    -------
    RewardHead

    Raises
    ------
    InputError
        For an unknown name, no pairs, or features of different widths.
    """
    if name not in FEATURE_METHODS:
        mend = f"choose one of {', '.join(FEATURE_METHODS)}"
        raise InputError(Problem(f"is {name!r}", mend, variable="model"))
    for what, each in (("pairs", pairs), ("held_out", held_out)):
        if not len(each):
            raise InputError(Problem("holds no pair", "give some", variable=what))
    if pairs.width != held_out.width:
        raise InputError(
            Problem(
                f"has features of width {held_out.width}, the training pairs of {pairs.width}",
                "read both with the same base model",
                variable="held_out",
            )
        )
    method = FEATURE_METHODS[name]
    return method.fit(
        pairs,
        held_out,
        options or method.options(),
        seed=seed,
        report=report,
        checkpoint=checkpoint,
    )


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
        raise InputError(Problem(f"holds pairs of {others[0]!r}", f"give pairs of {user!r} alone"))
    return _ADAPTERS[head.kind](head, user, pairs)


def adapt_users(head: RewardHead, pairs: PairFeatures) -> RewardHead:
    """Give each user of pairs a row who has none yet."""
    for user, rows in pairs.by_user().items():
        if user not in head.users:
            head = adapt_user(head, user, pairs.select(rows))
    return head
