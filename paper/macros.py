"""Numbers and names of results as LaTeX macros: the paper's text holds none of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from preflamp_stats.outputs.formatting import escape_latex

__all__ = ["definitions", "points", "share"]


def definitions(macros: Mapping[str, str]) -> str:
    r"""Set macros as ``\newcommand``, their values as plain text.

    Parameters
    ----------
    macros : mapping of str to str
        Value by name; a name has letters only.

    Returns
    -------
    str
        LaTeX, one macro a line.

    Examples
    --------
    >>> print(definitions({"StudyUsers": "1,200"}), end="")
    \newcommand{\StudyUsers}{1,200}
    """
    odd = [name for name in macros if not re.fullmatch("[A-Za-z]+", name)]
    if odd:
        raise ValueError(f"macro names have letters only: {', '.join(odd)}")
    lines = [rf"\newcommand{{\{name}}}{{{escape_latex(text)}}}" for name, text in macros.items()]
    return "\n".join([*lines, ""])


def share(value: float, decimals: int = 1) -> str:
    """Print a share in per cent, without the sign.

    Examples
    --------
    >>> share(0.95), share(0.8864)
    ('95', '88.6')
    """
    return f"{100 * value:.{decimals}f}".removesuffix("." + "0" * decimals)


def points(value: float) -> str:
    """Print a difference of shares in points.

    Examples
    --------
    >>> points(0.05), points(0.01)
    ('5', '1')
    """
    return f"{100 * value:g}"
