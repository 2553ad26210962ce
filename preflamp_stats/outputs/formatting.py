"""Numbers and texts as people read them: intervals, p-values, counts, one printable line."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from typing import Any

import pandas as pd

from preflamp_stats.metric import Scale, number

MISSING = "–"
"""Stands where there is no estimate."""


# Bidirectional overrides reorder the text around them: a label must not rewrite its neighbours.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def one_line(text: object) -> str:
    r"""Make text one printable line: line breaks to spaces, control characters to a mark.

    Parameters
    ----------
    text : object
        Label, caption or note from a file.

    Returns
    -------
    str
        Without control characters, safe for a terminal.

    Examples
    --------
    >>> one_line("two\nlines")
    'two lines'
    """
    collapsed = _REORDERING.sub("\ufffd", " ".join(str(text).split()))
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in collapsed)


def sentence(text: str) -> str:
    """End a title as a sentence, unless it ends in a mark of its own.

    Examples
    --------
    >>> sentence("RM accuracy"), sentence("Does accuracy predict?")
    ('RM accuracy.', 'Does accuracy predict?')
    """
    stripped = text.strip()
    return stripped if not stripped or stripped.endswith((".", "?", "!", ":")) else f"{stripped}."


def interval(low: float, high: float, scale: Scale) -> str:
    """Print an interval in brackets; empty where no interval is claimed.

    Examples
    --------
    >>> interval(0.689, 0.734, Scale(100.0, 1))
    '[68.9, 73.4]'
    """
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, scale)}, {number(high, scale)}]"


def p_value(value: float) -> str:
    """Print a p-value to three decimals, never a bare zero.

    Examples
    --------
    >>> p_value(0.0312), p_value(0.0002)
    ('0.031', '<0.001')
    """
    if math.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """Print a whole number with thousands apart.

    Examples
    --------
    >>> count(12000), count(float("inf"))
    ('12,000', '∞')
    """
    return number(value, Scale(1.0, 0)) if not abs(value) < math.inf else f"{value:,.0f}"


def value_text(value: object) -> str:
    """Print a key or extra value: short numbers, ∞ for infinity, empty for a missing one.

    Examples
    --------
    >>> value_text(0.25), value_text(float("inf")), value_text("a b")
    ('0.25', '∞', 'a b')
    """
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return one_line(value)
    try:
        as_float = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return one_line(value)
    if math.isinf(as_float):
        return "∞" if as_float > 0 else "-∞"
    return "" if math.isnan(as_float) else f"{as_float:.4g}"


def sample_sizes(frame: pd.DataFrame) -> str:
    """How much data stands behind rows, as ``"200 users, 4,800–5,000 examples"``.

    Examples
    --------
    >>> sample_sizes(pd.DataFrame({"n_users": [200, 200], "n_examples": [4800, 5000]}))
    '200 users, 4,800–5,000 examples'
    """
    parts = []
    for noun in ("methods", "users", "examples"):
        column = f"n_{noun}"
        values: Any = frame[column].dropna() if column in frame else ()
        # Where examples are the units, their number stands under both names.
        if noun == "users" and "resample" in frame and (frame["resample"] == "examples").all():
            continue
        if len(values) and max(values) > 0:
            low, high = count(min(values)), count(max(values))
            parts.append(f"{low if low == high else f'{low}–{high}'} {noun}")
    return ", ".join(parts)


def _pairs(text: str) -> dict[str, str]:
    """Read ``character LaTeX character LaTeX …``."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


# \textquotedbl exists in T1 only: two apostrophes are its look in every encoding. "[" and "*" would
# be taken for arguments of the line break that they follow.
_SPECIAL = _pairs(
    r"""
    \ \textbackslash{}   { \{   } \}   $ \$   & \&   # \#   % \%   _ \_   ^ \textasciicircum{}
    ~ \textasciitilde{}   ` \textasciigrave{}   " ''   < $<$   > $>$   | $|$   [ {[}   * {*}
    – --   — ---   ‘ `   ’ '   “ ``   ” ''   … \ldots{}   · $\cdot$   • \textbullet{}
    ° $^\circ$   − $-$   ± $\pm$   × $\times$   ≤ $\leq$   ≥ $\geq$   ≠ $\neq$   ≈ $\approx$
    → $\rightarrow$   ← $\leftarrow$   ∞ $\infty$   √ $\surd$   Σ $\Sigma$   ∑ $\sum$
    ß \ss{}   æ \ae{}   Æ \AE{}   ø \o{}   Ø \O{}   œ \oe{}   ł \l{}   Ł \L{}   ı \i{}   § \S{}
    £ \pounds{}   ² $^2$   ³ $^3$   ι $\iota$   ω $\omega$
    α $\alpha$   β $\beta$   γ $\gamma$   δ $\delta$   ε $\epsilon$   ζ $\zeta$   η $\eta$
    θ $\theta$   κ $\kappa$   λ $\lambda$   μ $\mu$   ν $\nu$   ξ $\xi$   π $\pi$   ρ $\rho$
    ς $\varsigma$   σ $\sigma$   τ $\tau$   υ $\upsilon$   φ $\phi$   χ $\chi$   ψ $\psi$
    Γ $\Gamma$   Δ $\Delta$   Θ $\Theta$   Ξ $\Xi$   Π $\Pi$   Φ $\Phi$   Ψ $\Psi$   Ω $\Omega$
    """
) | {"\ufffd": "?", "\u200b": "{}"}
# Combining marks: grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double
# acute, caron, cedilla.
_CEDILLA = "\u0327"
_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c" + _CEDILLA
_ACCENTS = dict(zip(_MARKS, "`'^~=u.\"rHvc", strict=True))


def escape_latex(text: str) -> str:
    r"""Plain text as LaTeX.

    Parameters
    ----------
    text : str
        Any text; line breaks become spaces.

    Returns
    -------
    str
        Free of commands that the text might hold. A character that pdfLaTeX cannot set is passed to
        XeLaTeX and LuaLaTeX and stands as ``U+65E5`` in pdfLaTeX.

    Examples
    --------
    >>> print(escape_latex("a_b & 5 %"))
    a\_b \& 5 \%
    >>> print(escape_latex("Zoë"))
    Zo{\"e}
    """
    # "--" would become a dash; an empty group keeps the hyphens apart.
    plain = re.sub(r"-(?=-)", "-\u200b", unicodedata.normalize("NFC", one_line(text)))
    pieces: list[str] = []
    for known, run in itertools.groupby(plain, lambda character: bool(_character(character))):
        if known:
            pieces += map(_character, run)
        else:
            shown = "".join(run)
            named = " ".join(f"U+{ord(character):04X}" for character in shown)
            pieces.append(rf"{{\ifdefined\Umathchar {shown}\else\texttt{{{named}}}\fi}}")
    return "".join(pieces)


def _character(character: str) -> str:
    """LaTeX of one character; empty where pdfLaTeX has none."""
    if character in _SPECIAL or character.isascii():
        return _SPECIAL.get(character, character)
    base, *marks = list(unicodedata.normalize("NFD", character))
    if not (base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS):
        return ""
    dotless = {"i": r"\i", "j": r"\j"}.get(base, base) if marks[0] != _CEDILLA else base
    accent = _ACCENTS[marks[0]]
    return rf"{{\{accent}{{{dotless}}}}}" if accent.isalpha() else rf"{{\{accent}{dotless}}}"
