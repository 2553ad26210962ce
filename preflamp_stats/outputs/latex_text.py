"""Any text as LaTeX that shows exactly that text."""

from __future__ import annotations

import re
import unicodedata

from preflamp_stats.outputs.formatting import one_line

__all__ = ["escape_latex"]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "`": r"\textasciigrave{}",
    # \textquotedbl exists in T1 only; two apostrophes are its look in every encoding.
    '"': "''",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    # After a line of a table both would be taken for arguments of the line break.
    "[": "{[}",
    "*": "{*}",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "•": r"\textbullet{}",
    "°": r"$^\circ$",
    "\u00a0": "~",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "Σ": r"$\Sigma$",
    "∑": r"$\sum$",
    "²": "$^2$",
    "³": "$^3$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "œ": r"\oe{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "§": r"\S{}",
    "£": r"\pounds{}",
    "\ufffd": "?",
}

_GREEK = {
    chr(code): rf"$\{name}$"
    for first, names in (
        (0x3B1, "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi"),
        (0x3C0, "pi rho varsigma sigma tau upsilon phi chi psi omega"),
    )
    for code, name in enumerate(names.split(), start=first)
}
_GREEK |= {
    unicodedata.lookup(f"GREEK CAPITAL LETTER {name.upper()}"): rf"$\{name}$"
    for name in ("Gamma", "Delta", "Theta", "Xi", "Pi", "Phi", "Psi", "Omega")
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
_KNOWN = _SPECIAL | _GREEK


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
    return _join([_character(character) for character in plain])


def _character(character: str) -> str | tuple[str, str]:
    """LaTeX of one character, or (itself, code point) where pdfLaTeX has none."""
    if character == "\u200b":
        return "{}"
    if character in _KNOWN:
        return _KNOWN[character]
    if character.isascii():
        return character
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base) if marks[0] != "\u0327" else base
        accent = _ACCENTS[marks[0]]
        return rf"{{\{accent}{{{dotless}}}}}" if accent.isalpha() else rf"{{\{accent}{dotless}}}"
    return character, f"U+{ord(character):04X}"


def _join(pieces: list[str | tuple[str, str]]) -> str:
    """Pieces in a row, characters that pdfLaTeX lacks gathered into one conditional a run."""
    out: list[str] = []
    run: list[tuple[str, str]] = []
    for piece in [*pieces, ""]:
        if isinstance(piece, tuple):
            run.append(piece)
            continue
        if run:
            shown = "".join(character for character, _ in run)
            named = " ".join(code for _, code in run)
            out.append(rf"{{\ifdefined\Umathchar {shown}\else\texttt{{{named}}}\fi}}")
            run = []
        out.append(piece)
    return "".join(out)
