"""The slope of each draw of true values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from preflamp_stats.inference.slope import slope_draws


def test_each_draw_has_its_own_least_squares() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4, 6))
    x[3] = 0.5
    evidence: Any = SimpleNamespace(latent=SimpleNamespace(theta_x=x, theta_y=y))
    found = slope_draws(evidence)
    expected = [np.polyfit(a, b, 1)[0] for a, b in zip(x[:3], y[:3], strict=True)]
    np.testing.assert_allclose(found[:3], expected)
    assert np.isnan(found[3])
