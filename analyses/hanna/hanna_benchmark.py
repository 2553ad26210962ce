"""HANNA as a results file, and its published correlations computed anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats import InputError, Problem, kendall_tau

CRITERIA = ("Relevance", "Coherence", "Empathy", "Surprise", "Engagement", "Complexity")
HUMAN = "Human"
SCORES = "coling_hanna_metric_scores.csv"
PUBLISHED = {"system": "coling_system_kendall.csv", "prompt": "coling_story_kendall.csv"}
RATERS = 3

SOURCE = (
    "https://github.com/dig-team/hanna-benchmark-asg, branch coling, "
    "commit bf4a171e01224390d0fecf96b829fd1baa5da1f4 (MIT)"
)

_MARKS = {
    "Ξ": "needs a reference",
    "¤": "needs no reference",
    "§": "compares strings",
    "ε": "compares embeddings",
    "Δ": "asks a model",
}


def read_scores(folder: Path) -> xr.Dataset:
    """Read the scores of every story into a dataset that follows the results schema.

    Parameters
    ----------
    folder : Path
        Holds ``coling_hanna_metric_scores.csv``: a row a system, and in each cell the text of a
        list of 96 numbers, one a prompt.

    Returns
    -------
    Dataset, dims (method, example)
        The 6 human criteria as the sum of three ratings from 1 to 5, the 72 automatic metrics as
        published; methods are the systems, ``Human`` among them, examples the prompts.

    Raises
    ------
    InputError
        If the file is absent.

    Notes
    -----
    The published means of three ratings are thirds, which binary numbers cannot hold: two systems
    with the same ratings in another order may get means that differ in the last digit. Sums of
    ratings are whole numbers, so that equal systems stay equal.
    """
    table = pd.read_csv(_existing(folder, SCORES), index_col="Model")
    variables = {}
    for heading in table.columns:
        values = np.array([json.loads(cell) for cell in table[heading]], dtype=np.float64)
        attrs = {"long_name": _long_name(heading), "role": "generation_metric"}
        if heading in CRITERIA:
            values = np.rint(RATERS * values)
            attrs["units"] = "sum of three ratings from 1 to 5"
        else:
            attrs["comment"] = "; ".join(_MARKS[mark] for mark in heading.rpartition(" ")[2])
        variables[variable_name(heading)] = (("method", "example"), values, attrs)
    n_prompts = len(json.loads(str(table.iat[0, 0])))
    return xr.Dataset(
        variables,
        coords={
            "method": table.index.to_numpy(dtype=str),
            "example": [f"prompt {number:02d}" for number in range(n_prompts)],
        },
        attrs={"dataset": "hanna", "source": SOURCE},
    )


def variable_name(heading: str) -> str:
    """Name of the variable that holds a column.

    Examples
    --------
    >>> variable_name("ROUGE-S* F-Score Ξ§"), variable_name("Relevance")
    ('rouge_s_star_f_score', 'relevance')
    """
    name = _long_name(heading).replace("*", "-star")
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def automatic_systems(ds: xr.Dataset) -> xr.Dataset:
    """Leave out the human writers.

    They wrote the references, so that any metric that compares with a reference puts them first.
    """
    return ds.sel({"method": ds["method"] != HUMAN})


def reproduce(ds: xr.Dataset, folder: Path) -> pd.DataFrame:
    """Compute every published Kendall correlation anew.

    Parameters
    ----------
    ds : Dataset
        From :func:`read_scores`.
    folder : Path
        Holds the two published tables of 72 metrics × 6 criteria each.

    Returns
    -------
    DataFrame
        A row for each of the 864 cells. ``level`` is "system" (tau-b of the systems' means) or
        "prompt" (mean over prompts of the tau-b among the stories of a prompt); ``published`` and
        ``reproduced`` are absolute values, ``tau`` keeps the sign; ``exact_tau`` (system level) is
        tau with systems of equal ratings held equal; ``undefined_prompts`` counts the prompts for
        which a constant leaves tau undefined, which the published mean leaves out.

    Raises
    ------
    InputError
        If a file is absent.
    """
    ds = automatic_systems(ds)
    criteria = ds[[variable_name(name) for name in CRITERIA]].to_dataarray("criterion")
    metrics = ds.drop_vars(criteria["criterion"].values).to_dataarray("metric")
    by_prompt = kendall_tau(metrics, criteria)
    # The published system means are float64 means of thirds, and break two exact ties: see
    # read_scores. Summing along contiguous rows repeats them to the last digit.
    system_means = _contiguous_mean(metrics)
    tau = {
        "system": kendall_tau(system_means, _contiguous_mean(criteria / RATERS)),
        "prompt": by_prompt.mean("example"),
    }
    exact = kendall_tau(system_means, criteria.sum("example"))
    frames = []
    for level, file in PUBLISHED.items():
        published = pd.read_csv(_existing(folder, file)).rename(columns={"Model": "metric"})
        frame = published.melt("metric", var_name="criterion", value_name="published")
        frame["metric"] = [variable_name(name) for name in frame["metric"]]
        frame["criterion"] = [variable_name(name.split("_")[0]) for name in frame["criterion"]]
        frame.insert(0, "level", level)
        at = {name: xr.DataArray(frame[name], dims="cell") for name in ("metric", "criterion")}
        frame["tau"] = tau[level].sel(at).values
        frame["reproduced"] = frame["tau"].abs()
        frame["difference"] = (frame["reproduced"] - frame["published"]).abs()
        if level == "system":
            frame["exact_tau"] = exact.sel(at).values
        else:
            frame["undefined_prompts"] = by_prompt.isnull().sum("example").sel(at).values
        frames.append(frame)
    cells = pd.concat(frames, ignore_index=True)
    cells["undefined_prompts"] = cells["undefined_prompts"].astype("Int64")
    return cells


def _contiguous_mean(values: xr.DataArray) -> xr.DataArray:
    last = values.transpose(..., "example")
    return last.copy(data=np.ascontiguousarray(last.values)).mean("example")


def _long_name(heading: str) -> str:
    name, _, marks = heading.rpartition(" ")
    return name if name and set(marks) <= set(_MARKS) else heading


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        mend = f"get it from {SOURCE}, name it so, and pass the folder above as --data"
        raise InputError(Problem("no such file", mend, str(path)))
    return path
