"""How variables are laid out in the file: text as compressed bytes, chunks along examples."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from preflamp_stats.errors import Problem

__all__ = [
    "MISSING_TEXT",
    "attribute_problems",
    "chunk_sizes",
    "encode_text",
    "is_missing",
    "is_text",
    "text_width",
]

CHUNK_BYTES = 2**20
"""Bytes of a storage chunk before compression, at most, where more than one example fits."""


MISSING_TEXT = "\x1a"
"""Stored where a text is missing, and named by the attribute ``missing_text``: "" is a text.

It is written as often as it takes to be none of the texts.
"""


def is_text(variable: xr.Variable) -> bool:
    """Whether a variable holds text; an object array is taken for text."""
    return variable.dtype.kind in "OUST"


def is_missing(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where a text (None or NaN) or a number (NaN) is missing.

    Examples
    --------
    >>> is_missing(["a", "", None]).tolist()
    [False, False, True]
    """
    return np.asarray(pd.isnull(np.asarray(values, dtype=getattr(values, "dtype", object))))


def text_width(
    values: npt.ArrayLike, *, may_miss: bool = False
) -> tuple[int, list[tuple[str, str]], int]:
    """Bytes that the longest text takes in UTF-8, and what cannot be stored.

    Parameters
    ----------
    values : array_like of str
        Texts of any shape.
    may_miss : bool
        None and NaN stand for missing texts, as they may where the text is no label.

    Returns
    -------
    width : int
        At least 1, as a dim of the file cannot be empty.
    faults : list of (str, str)
        What is wrong and how to mend it, once for each kind of fault.
    longest_mark : int
        Length of the longest text that looks like the mark of a missing one; 0 as a rule.

    Examples
    --------
    >>> text_width(["naïve", ""])
    (6, [], 0)
    >>> text_width([None])[1]
    [('holds NoneType at position 0', 'store text')]
    """
    width, longest_mark = 1, 0
    faults: dict[str, tuple[str, str]] = {}
    texts = np.asarray(values, dtype=object).ravel()
    missing = is_missing(texts) if may_miss else np.zeros(len(texts), dtype=bool)
    for position, text in enumerate(texts):
        if missing[position]:
            continue
        if not isinstance(text, str):
            what = f"holds {type(text).__name__} at position {position}"
            mend = "store text, None where it is missing" if may_miss else "store text"
            faults.setdefault("type", (what, mend))
            continue
        try:
            width = max(width, len(text.encode()))
        except UnicodeEncodeError:
            what = f"has a lone surrogate at position {position}, which is not text"
            faults.setdefault("surrogate", (what, "decode the source as UTF-8 before storing it"))
        if "\0" in text:
            what = f"has a NUL character at position {position}, at which text would be cut"
            faults.setdefault("nul", (what, "remove it"))
        if text.startswith(MISSING_TEXT) and not text.strip(MISSING_TEXT):
            longest_mark = max(longest_mark, len(text))
    return width, list(faults.values()), longest_mark


def encode_text(
    values: npt.ArrayLike, width: int, mark: str = MISSING_TEXT
) -> npt.NDArray[np.bytes_]:
    r"""Encode texts as single bytes along a new last axis of a fixed width.

    Parameters
    ----------
    values : array_like of str, shape (...)
        Texts without NUL characters or lone surrogates; None or NaN where missing.
    width : int
        Bytes for each, at least that of the longest.
    mark : str
        What is written where a text is missing.

    Returns
    -------
    ndarray of S1, shape (..., width)
        UTF-8, padded with NUL.

    Examples
    --------
    >>> encode_text(["é", "a"], 2).tolist()
    [[b'\xc3', b'\xa9'], [b'a', b'']]
    """
    texts = np.asarray(values, dtype=object)
    filled = np.where(is_missing(texts), mark, texts).ravel()
    encoded = np.array([text.encode() for text in filled], dtype=f"S{width}")
    return encoded.view("S1").reshape(*texts.shape, width)


def chunk_sizes(dims: Sequence[Hashable], shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Storage chunks that hold a block of examples over every other dim.

    The number of examples is a power of two, so that the chunks of all variables share borders.

    Parameters
    ----------
    dims : sequence of str
        Dims of the variable.
    shape : sequence of int
        Its size along each.
    itemsize : int
        Bytes of a value.

    Returns
    -------
    tuple of int
        The size of a chunk along each dim.

    Examples
    --------
    >>> chunk_sizes(("method", "example", "candidate"), (12, 100_000, 2), 8)
    (12, 4096, 2)
    """
    others = math.prod(size for dim, size in zip(dims, shape, strict=True) if dim != "example")
    examples = 2 ** int(math.log2(max(1, CHUNK_BYTES // (others * itemsize))))
    return tuple(
        min(size, examples) if dim == "example" else size
        for dim, size in zip(dims, shape, strict=True)
    )


def attribute_problems(attributes: Mapping[Any, Any], variable: str = "") -> Iterator[Problem]:
    """Find attributes that NetCDF cannot hold: it has text, numbers and lists of either."""
    for name, value in attributes.items():
        where = f"attribute {name!r}"
        if isinstance(value, str):
            faults = text_width([value])[1]
            yield from (
                Problem(f"{where} {what}", mend, variable=variable) for what, mend in faults
            )
        elif not _is_storable(value):
            what = f"{where} holds {type(value).__name__}"
            yield Problem(what, "store it as JSON text", variable=variable)


def _is_storable(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, numbers.Real | np.number):
        return True
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind == "U":
            return array.ndim == 1 and not text_width(array)[1]
        return array.ndim <= 1 and array.dtype.kind in "iuf" and array.size > 0
    return False
