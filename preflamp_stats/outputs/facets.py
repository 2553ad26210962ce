"""Panels of a figure, and groups of a summary: one for each dataset and model."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from preflamp_stats.outputs.formatting import one_line
from preflamp_stats.results import distinct, table_frame

__all__ = ["Facet", "distinct", "facets", "table_frame"]


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
