"""Credit of a ranked pair, the unit of every accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.choices import Ties

__all__ = ["pair_credit"]

_TIE_CREDIT: dict[str, float] = {"half": 0.5, "strict": 0.0, "drop": np.nan}


def pair_credit(
    chosen: ArrayLike, rejected: ArrayLike, *, ties: Ties = "half"
) -> NDArray[np.float64]:
    """Credit for scoring the chosen response above the rejected one.

    Parameters
    ----------
    chosen, rejected : array_like
        Scores of the two responses, broadcast against each other.
    ties : {"half", "strict", "drop"}
        Credit where the scores are equal: 0.5, 0, or NaN (the pair does not count).

    Returns
    -------
    ndarray of float64
        1, 0 or the tie's credit; NaN where a score is NaN.

    Raises
    ------
    KeyError
        For an unknown tie rule.

    Examples
    --------
    >>> pair_credit([2.0, 1.0, 0.0, np.nan], [1.0, 1.0, 3.0, 0.0])
    array([1. , 0.5, 0. , nan])
    """
    tie_credit = _TIE_CREDIT[ties]
    chosen, rejected = np.asarray(chosen), np.asarray(rejected)
    credit = np.asarray(chosen > rejected, dtype=np.float64)
    equal = chosen == rejected
    if tie_credit != 0.0:
        credit[equal] = tie_credit
    # Neither above, equal nor below: one of the two is NaN.
    credit[~(equal | (chosen > rejected) | (chosen < rejected))] = np.nan
    return credit
