"""Random streams named by their purpose, so that one choice never shifts another's numbers."""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["stream"]


def stream(seed: int, *names: str) -> np.random.SeedSequence:
    """Seed sequence of a named purpose.

    Parameters
    ----------
    seed : int
        The analysis' seed.
    *names : str
        Purpose, from the general to the particular, such as ``"prism", "users"``.

    Returns
    -------
    numpy.random.SeedSequence
        The same for the same names, whatever else has been drawn.

    Examples
    --------
    >>> stream(0, "users").spawn_key == stream(0, "users").spawn_key
    True
    """
    return np.random.SeedSequence(seed, spawn_key=tuple(zlib.crc32(n.encode()) for n in names))
