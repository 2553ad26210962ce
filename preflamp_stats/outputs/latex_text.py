"""Any text as LaTeX that shows exactly that text."""

from __future__ import annotations

import itertools
import re
import unicodedata

from preflamp_stats.outputs.formatting import one_line

__all__ = ["escape_latex"]


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
