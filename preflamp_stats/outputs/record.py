"""analysis.json: everything an analysis found, and everything needed to find it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from preflamp_stats.results import Analysis

__all__ = ["RECORD_KEY", "to_json"]

RECORD_KEY = "preflamp_analysis"
"""Marks a record as ours and says its version."""


def to_json(analysis: Analysis, files: Sequence[str] = ()) -> str:
    """Serialise the whole analysis as JSON: keys sorted, numbers in full, missing ones null.

    Parameters
    ----------
    analysis : Analysis
    files : sequence of str
        Paths written beside the record, relative to its directory.

    Returns
    -------
    str
        Valid JSON: NaN is ``null``, an infinite number the text ``"inf"`` or ``"-inf"``.
        ``table_order`` and each table's ``columns`` keep the order that sorted keys lose.
    """
    record = {
        RECORD_KEY: 1,
        "settings": analysis.settings.as_dict(),
        "versions": dict(analysis.versions),
        "inputs": [dict(entry) for entry in analysis.inputs],
        "summary": analysis.summary,
        "questions": [asdict(question) for question in analysis.questions],
        "notes": list(analysis.notes),
        "files": sorted(files),
        "table_order": list(analysis.tables),
        "tables": {
            name: {
                "title": table.title,
                "caption": table.caption,
                "metrics": {key: asdict(metric) for key, metric in table.metrics.items()},
                "estimate_of": table.estimate_of,
                "ranked": table.ranked,
                "reading": table.reading,
                "findings": list(table.findings),
                "columns": [str(column) for column in table.frame.columns],
                "rows": table.frame.to_dict("records"),
            }
            for name, table in analysis.tables.items()
        },
    }
    ready = _plain(record)
    return json.dumps(ready, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Nested values in the types that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, str | bool | int | float) else str(value)
