"""What is absent is counted and said, and is no zero."""

from __future__ import annotations

import numpy as np
import xarray as xr

import preflamp_stats as pls
from preflamp_stats.outputs.csv_markdown import to_markdown


def study() -> dict[str, xr.Dataset]:
    """Two methods that write the reference itself for 20 users; the rows of one stop half way."""
    text = np.full((2, 20), "same words here", dtype=object)
    text[1, 10:] = None
    reward = np.tile([1.0, 0.0], (2, 20, 1))
    reward[0, 0] = 0.5
    return {
        "d": xr.Dataset(
            {
                "generation": (("model", "method", "example"), text[None]),
                "reference": ("example", ["same words here"] * 20),
                "reward": (("method", "example", "candidate"), reward),
                "user": ("example", [f"u{i}" for i in range(20)]),
            },
            {"method": ["a", "b"], "model": ["q"], "candidate": ["chosen", "rejected"]},
        )
    }


def test_absent_texts_are_told_first_and_lower_no_mean() -> None:
    found = pls.analyze(study(), pls.Settings(resamples=50, downstream=("rouge1",)))
    table = found.tables["coverage"]
    assert next(iter(found.tables)) == "coverage"
    rows = table.frame.set_index("method")
    assert rows["generation"].to_dict() == {"a": 1.0, "b": 0.5}
    assert rows["ties"].to_dict() == {"a": 1, "b": 0}
    assert list(table.findings) == ["Generations of b are absent in up to 50.0 % of the examples."]
    assert "| b | 100.0 | 100.0 | 50.0 | 100.0 | 0 |" in to_markdown(table)
    quality = found.tables["generation"].frame.query("metric == 'rouge1'").set_index("method")
    assert quality["estimate"].to_dict() == {"a": 1.0, "b": 1.0}
