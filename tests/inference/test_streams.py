from __future__ import annotations

import numpy as np

from preflamp_stats.inference.streams import stream


def _first(*names: str, seed: int = 0) -> float:
    return float(np.random.default_rng(stream(seed, *names)).random())


def test_a_purpose_has_one_stream_that_no_other_shares():
    assert _first("prism", "units") == _first("prism", "units")
    others = [
        _first("prism", "methods"),
        _first("tldr", "units"),
        _first("units", "prism"),
        _first("units"),
        _first(),
        _first("prism", "units", seed=1),
        _first("prismunits"),
    ]
    assert len({_first("prism", "units"), *others}) == 8


def test_a_purpose_keeps_its_numbers_from_version_to_version():
    assert stream(7, "prism", "units").generate_state(2).tolist() == [691956680, 1050377927]
