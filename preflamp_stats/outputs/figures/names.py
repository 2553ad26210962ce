"""Names as labels of a figure: one short line each, and never the same line for two names."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count
from os.path import commonprefix
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.ft2font import FT2Font

from preflamp_stats.io.schema import UNNAMED_DATASET
from preflamp_stats.outputs.formatting import one_line


def plain(text: object, longest: int = 200) -> str:
    r"""Text as our font can draw it: one line, a box for each character that it lacks.

    Examples
    --------
    >>> plain("two\nlines 日本")
    'two lines □□'
    """
    letters = (
        c if c.isprintable() and ord(c) in _glyphs() else "□"
        for c in unicodedata.normalize("NFC", one_line(text))
        if unicodedata.category(c) != "Cf"
    )
    return _cut("".join(letters), longest)


def shorten(names: Iterable[str], longest: int = 26) -> dict[str, str]:
    """Labels of names, cut in the middle where they are too long, no two of them equal.

    Names that would be cut to the same label are cut around the place where they begin to differ.
    Where that does not tell them apart either, a label ends in the place of its name among all.

    Parameters
    ----------
    names : iterable of str
    longest : int
        Characters of a label, at least 12.

    Returns
    -------
    dict of str to str
        Label by name, in the order of the names.

    Examples
    --------
    >>> list(shorten(["a", "runs/2026/sweep/lr-1e-5/rm-v2"], 16).values())
    ['a', 'runs/…/rm-v2']
    >>> list(shorten(["runs/2026/lr-1e-5/rm/v2", "runs/2026/lr-3e-5/rm/v2"], 16).values())
    ['run…lr-1e-5/…/v2', 'run…lr-3e-5/…/v2']
    >>> list(shorten(["日本", "中国"]).values())
    ['□□ (1)', '□□ (2)']
    """
    drawn = {name: plain(name, len(name)) for name in names}
    labels = {name: _cut(text, longest) for name, text in drawn.items()}
    for label, times in Counter(labels.values()).items():
        if times > 1:
            alike = [name for name in labels if labels[name] == label]
            differ = len(commonprefix([drawn[name] for name in alike]))  # noqa: RUF071 - of letters
            labels |= {name: _cut_around(drawn[name], differ, longest) for name in alike}
    uses = Counter(labels.values())
    taken = {label for label, times in uses.items() if label and times == 1}
    for place, (name, label) in enumerate(labels.items(), 1):
        if label not in taken:
            numbered = (_numbered(label, n, longest) for n in count(place, len(labels)))
            labels[name] = next(text for text in numbered if text not in taken)
    return labels


def titles(places: Iterable[Facet], longest: int) -> dict[Facet, str]:
    """Titles of panels; a long dataset is cut before its model is, one without a name is not named.

    Examples
    --------
    >>> titles([Facet("a dataset with a long name", "1B")], 20)
    {Facet(dataset='a dataset with a long name', model='1B'): 'a data…ong name · 1B'}
    """
    places = list(places)
    models = shorten((place.model for place in places if place.model), max(longest // 2, 12))
    room = longest - max(map(len, models.values()), default=-3) - 3
    names = [place.dataset for place in places if place.dataset]
    datasets = shorten([] if set(names) == {UNNAMED_DATASET} else names, max(room, 12))
    return {
        place: " · ".join(filter(None, (datasets.get(place.dataset), models.get(place.model))))
        for place in places
    }


def _cut(text: str, longest: int) -> str:
    """Cut the middle out, at slashes where they are near."""
    if len(text) <= longest:
        return text
    tail = text[-((longest - 1) * 3 // 5) :]
    if 0 <= (slash := tail.find("/")) <= len(tail) // 2:
        tail = tail[slash:]
    head = text[: longest - 1 - len(tail)]
    if (slash := head.rfind("/")) >= len(head) // 2:
        head = head[: slash + 1]
    return f"{head}…{tail}"


def _numbered(text: str, number: int, longest: int) -> str:
    behind = f" ({number})"
    return f"{_cut(text, longest - len(behind))}{behind}".lstrip()


def _cut_around(text: str, place: int, longest: int) -> str:
    """Cut a name so that the characters from a place on stay."""
    end = longest // 5
    middle = longest - 2 * end - 2
    start = max(text.rfind("/", 0, place) + 1, place - middle // 2)
    if len(text) <= longest:
        return text
    if start <= end + 1:
        return f"{text[: longest - end - 1]}…{text[-end:]}"
    if start + middle >= len(text) - end - 1:
        return f"{text[:end]}…{text[end + 1 - longest :]}"
    return f"{text[:end]}…{text[start : start + middle]}…{text[-end:]}"


def width(text: str) -> float:
    """Inches that a text takes at seven points."""
    _font().set_text(text)
    return float(_font().get_width_height()[0] / 64 / 72)


@cache
def _font() -> FT2Font:
    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")))
    font.set_size(7, 72)
    return font


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(_font().get_charmap())


@dataclass(frozen=True)
class Facet:
    """A dataset and a model; either is empty where the estimates do not tell it.

    Examples
    --------
    >>> Facet("tldr", "").rows(pd.DataFrame({"dataset": ["tldr", "prism"]})).index.tolist()
    [0]
    """

    dataset: str = ""
    model: str = ""

    @property
    def title(self) -> str:
        """Dataset and model on one line."""
        return " · ".join(one_line(part) for part in (self.dataset, self.model) if part)

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table that belong here; a row without a model belongs to every model."""
        keep = pd.Series(True, index=frame.index)
        for column, value in (("dataset", self.dataset), ("model", self.model)):
            if value and column in frame:
                keep &= frame[column].isna() | (frame[column].astype(object) == value)
        return frame[keep]


def facets(*frames: pd.DataFrame) -> list[Facet]:
    """Every dataset and model that occur together in any of the tables, in order of appearance.

    Parameters
    ----------
    *frames : DataFrame
        Tables with ``dataset`` and ``model`` columns, each optional.

    Returns
    -------
    list of Facet
        At least one where any table has rows. A dataset stands without a model only if no table
        names one for it.

    Examples
    --------
    >>> rewards = pd.DataFrame({"dataset": ["tldr"]})
    >>> facets(rewards, pd.DataFrame({"dataset": ["tldr"], "model": ["1B"]}))
    [Facet(dataset='tldr', model='1B')]
    """
    found: dict[Facet, None] = {}
    for frame in frames:
        columns = [
            frame[c].astype(object).where(frame[c].notna(), "") if c in frame else [""] * len(frame)
            for c in ("dataset", "model")
        ]
        found |= {Facet(str(d), str(m)): None for d, m in zip(*columns, strict=True)}
    with_model = {facet.dataset for facet in found if facet.model}
    places = list(dict.fromkeys(facet.dataset for facet in found))
    kept = [facet for facet in found if facet.model or facet.dataset not in with_model]
    return sorted(kept, key=lambda facet: places.index(facet.dataset))
