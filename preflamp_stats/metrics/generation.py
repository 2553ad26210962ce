"""How good are the generated texts? ROUGE and the producer's own metrics, for each example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io import variables
from preflamp_stats.kernels.rouge import ROUGE_METRICS, Tokenizer, rouge_scores

__all__ = ["generation_metrics", "generation_quality", "rouge"]


def rouge(
    references: xr.DataArray | ArrayLike,
    predictions: xr.DataArray | ArrayLike,
    *,
    metrics: Sequence[str] = ROUGE_METRICS,
    tokenizer: Tokenizer = "rouge-score",
    stem: bool = True,
) -> xr.Dataset:
    """ROUGE F1 of predictions against their references.

    Parameters
    ----------
    references, predictions : DataArray, or str, sequence or array of str
        Texts; None where missing. A DataArray may have any named dims: references, say of dim
        (example,), are repeated along every dim that only the predictions have. Anything else has
        the dim ``example``, a single text none. Arrays backed by dask are computed lazily.
    metrics : sequence of {"rouge1", "rouge2", "rougeL"}
        What to compute.
    tokenizer : {"rouge-score", "unicode"} or callable
        As in :func:`preflamp_stats.kernels.rouge.rouge_scores`; "unicode" where the texts are not
        English.
    stem : bool
        Compare Porter stems of ASCII words.

    Returns
    -------
    Dataset
        A variable for each metric, with the dims and coordinates of the predictions: F1 in
        [0, 1], 0.0 for an empty text, NaN where a text is missing.

    Raises
    ------
    InputError
        If the references have a dim that the predictions lack, or their labels or lengths
        differ, or anything is not text.

    Warns
    -----
    NonAsciiTextWarning
        If texts have letters that the default tokenizer drops.

    Examples
    --------
    >>> scores = rouge(["the cat sat", "a b"], ["the cat sat on the mat", "c d"])
    >>> scores["rouge1"].round(3).values.tolist()  # precision 3/6, recall 3/3
    [0.667, 0.0]
    """
    reference, prediction = _texts(references, "references"), _texts(predictions, "predictions")
    unknown = [str(dim) for dim in reference.dims if dim not in prediction.dims]
    if unknown:
        what = f"have the dim {', '.join(unknown)}, which the predictions lack"
        mend = "select along it, or name the dims alike"
        raise InputError(Problem(what, mend, variable="references"))
    try:
        reference, prediction = xr.align(reference, prediction, join="exact", copy=False)
    except ValueError as error:
        what = f"references and predictions do not stand for the same examples: {error}"
        raise InputError(Problem(what, "give both the same labels in one order")) from error

    def score(prediction: NDArray[Any], reference: NDArray[Any]) -> Any:
        # As objects a broadcast text is a pointer, not a copy.
        pairs = np.broadcast_arrays(reference.astype(object), prediction.astype(object))
        flat = rouge_scores(
            pairs[0].ravel(), pairs[1].ravel(), metrics=metrics, tokenizer=tokenizer, stem=stem
        )
        shaped = tuple(values.reshape(pairs[0].shape) for values in flat.values())
        return shaped if len(shaped) > 1 else shaped[0]

    found = xr.apply_ufunc(
        score,
        prediction,
        reference,
        dask="parallelized",
        output_core_dims=[[]] * len(metrics),
        output_dtypes=[np.float64] * len(metrics),
        keep_attrs=False,
    )
    arrays = found if isinstance(found, tuple) else (found,)
    return variables.annotated(xr.Dataset(dict(zip(metrics, arrays, strict=True))))


def generation_metrics(ds: xr.Dataset) -> list[str]:
    """Name the generation metrics that a dataset holds or that its texts can give.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.

    Returns
    -------
    list of str
        ROUGE first, then the producer's own; see
        :func:`preflamp_stats.io.variables.generation_metrics`.

    Examples
    --------
    >>> texts = xr.DataArray([[["a b"]]], dims=("model", "method", "example"))
    >>> ds = xr.Dataset({"generation": texts, "reference": ("example", ["a c"])})
    >>> generation_metrics(ds)
    ['rouge1', 'rouge2', 'rougeL']
    """
    stored = variables.generation_metrics(ds)
    computable = {"generation", "reference"} <= set(ds.data_vars)
    known = [name for name in ROUGE_METRICS if computable or name in stored]
    return known + [name for name in stored if name not in known]


def generation_quality(
    ds: xr.Dataset, metric: str, *, tokenizer: Tokenizer = "rouge-score"
) -> xr.DataArray:
    """Value of a generation metric for each example: as stored, or ROUGE computed from the texts.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file, or a block of its examples.
    metric : str
        One of :func:`generation_metrics`.
    tokenizer : {"rouge-score", "unicode"} or callable
        How texts are split, where ROUGE is computed.

    Returns
    -------
    DataArray, dims ([model], method, [seed], example)
        NaN where there is no value: no text, or no reference. The text "", which says that the
        model wrote nothing, is worth a ROUGE of 0.

    Raises
    ------
    InputError
        If the dataset neither holds the metric nor the texts to compute it from.

    Examples
    --------
    >>> texts = xr.DataArray([[["a b"]]], dims=("model", "method", "example"))
    >>> ds = xr.Dataset({"generation": texts, "reference": ("example", ["a c"])})
    >>> generation_quality(ds, "rouge1").item()
    0.5
    """
    if metric in variables.generation_metrics(ds):
        return ds[metric]
    if metric not in generation_metrics(ds):
        known = ", ".join(generation_metrics(ds)) or "none: the dataset has no generations"
        what = "is not a generation metric of this dataset"
        raise InputError(Problem(what, f"choose one of {known}", variable=metric))
    return rouge(ds["reference"], ds["generation"], metrics=[metric], tokenizer=tokenizer)[metric]


def _texts(values: xr.DataArray | ArrayLike, name: str) -> xr.DataArray:
    """Label texts: a sequence is along ``example``, a single text has no dim."""
    if isinstance(values, xr.DataArray):
        return values
    array = np.asarray(values, dtype=object)
    if array.ndim > 1:
        mend = "pass a DataArray with named dims"
        raise InputError(Problem(f"have {array.ndim} dims without names", mend, variable=name))
    return xr.DataArray(array, dims=("example",)[: array.ndim])
