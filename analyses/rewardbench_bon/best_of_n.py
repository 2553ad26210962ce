"""RewardBench's best-of-16 study as a results file, and what its files say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from preflamp_stats import InputError, Problem
from preflamp_stats.kernels.kendall import kendall_tau

SOURCE = (
    "https://github.com/allenai/reward-bench, folder bon_eval, "
    "commit 4319b3194d8772d0efb54c8b949ffdf87b4ccbd3 (Apache-2.0), and Table 7 of the RewardBench "
    "paper (arXiv 2403.13787)"
)
DEBERTA = "OpenAssistant/reward-model-deberta-v3-large-v2"

_LEADERBOARD = "rb1_table7_leaderboard.csv"
_PICKS = "rm_bon_selected_candidate.csv"
_GOLD = "gold_preference_cand.csv"
_DEBERTA_GOLD = "deberta_bon_gold.csv"
_LENGTHS = "candidate_chars.csv"
_WIN_RATES = "bon_eval_results.json"
_CANDIDATE_WIN_RATES = "merged_leaderboard.csv"


def read_study(folder: Path) -> xr.Dataset:
    """Read the study into a dataset that follows the results schema.

    Parameters
    ----------
    folder : Path
        Holds the files of the study.

    Returns
    -------
    Dataset, dims (method, example)
        Methods are the six reward models that chose among 16 candidates, examples the 805 prompts.
        Known per method only: ``rewardbench_average`` and its parts, ``win_rate`` and
        ``length_controlled_win_rate`` (percent). Known per prompt: ``picked_candidate`` (0–15),
        ``picked_length`` (characters), and ``gold_preference``, the judge's preference in [0, 1]
        for the candidate picked, NaN where that was one of those whose judgements are missing.

    Raises
    ------
    InputError
        Naming every file that is absent.
    """
    files = (_LEADERBOARD, _PICKS, _GOLD, _DEBERTA_GOLD, _LENGTHS, _WIN_RATES, _CANDIDATE_WIN_RATES)
    if absent := [folder / name for name in files if not (folder / name).is_file()]:
        mend = f"get it from {SOURCE} and pass the folder above as --data"
        raise InputError([Problem("no such file", mend, str(path)) for path in absent])
    picks = pd.read_csv(folder / _PICKS, index_col="prompt")
    methods = picks.columns.to_list()
    known = {name: ("method", *column) for name, column in _per_method(folder, methods).items()}
    picked = picks.to_numpy().T
    per_prompt = ("method", "example")
    gold = np.take_along_axis(_candidates(folder, _GOLD).T, picked, axis=0)
    lengths = np.take_along_axis(_candidates(folder, _LENGTHS).T, picked, axis=0)
    return xr.Dataset(
        {
            **known,
            "gold_preference": (per_prompt, gold, {
                "long_name": "judge's preference for the candidate picked, where it is known",
                "role": "generation_metric",
            }),
            "picked_length": (per_prompt, lengths, {
                "long_name": "length of the candidate picked",
                "units": "characters",
                "role": "generation_metric",
            }),
            "picked_candidate": (per_prompt, picked, {
                "long_name": "candidate picked",
                "role": "label",
            }),
        },
        coords={"method": methods, "example": [f"prompt {number:03d}" for number in picks.index]},
        attrs={"dataset": "rewardbench_bon", "source": SOURCE},
    )  # fmt: skip


def compare_with_published(ds: xr.Dataset, folder: Path) -> pd.DataFrame:
    """Compute anew what the files also hold as results.

    Parameters
    ----------
    ds : Dataset
        From :func:`read_study`.
    folder : Path
        Holds the files of the study.

    Returns
    -------
    DataFrame
        Columns ``quantity, of, published, reproduced, difference``: the win rates of the
        candidates that have judgements, the best-of-16 win rate of the one reward model all of
        whose picks were judged (percent), and the mean lengths of what each reward model picked
        (characters; published without their decimals).
    """
    results = json.loads((folder / _WIN_RATES).read_text())
    candidates = pd.read_csv(folder / _CANDIDATE_WIN_RATES)["win_rate"]
    judged = 100 * _candidates(folder, _GOLD).mean(axis=0)
    deberta = 100 * pd.read_csv(folder / _DEBERTA_GOLD)["preference"].mean()
    rows: list[tuple[str, str, float, float]] = [
        ("win_rate", f"candidate {number}", candidates[number], value)
        for number, value in enumerate(judged)
        if not np.isnan(value)
    ]
    rows.append(("win_rate", DEBERTA, results[DEBERTA]["win_rate"], deberta))
    rows += [
        ("mean_length", str(method), results[method]["avg_length"], float(length))
        for method, length in ds["picked_length"].mean("example").to_series().items()
    ]
    frame = pd.DataFrame(rows, columns=["quantity", "of", "published", "reproduced"])
    return frame.assign(difference=(frame["reproduced"] - frame["published"]).abs())


def missing_judgements(ds: xr.Dataset) -> pd.DataFrame:
    """Show what the missing judgements hide: win rates with and without the picks that lack them.

    Returns
    -------
    DataFrame
        For each reward model: picks and those judged; ``judged_win_rate``, over the judged picks;
        the published ``win_rate``; and ``unjudged_win_rate``, what the other picks must have won
        for the published figure to come out (percent).
    """
    judged = ds["gold_preference"].notnull().sum("example")
    won = 100 * ds["gold_preference"].sum("example")
    n_picks = ds.sizes["example"]
    found = xr.Dataset(
        {
            "n_picks": xr.full_like(judged, n_picks),
            "n_judged": judged,
            "judged_win_rate": won / judged,
            "win_rate": ds["win_rate"],
            "unjudged_win_rate": (n_picks * ds["win_rate"] - won) / (n_picks - judged),
        }
    )
    return found.to_dataframe().reset_index()


def tau_under_published_errors(
    ds: xr.Dataset, *, resamples: int, seed: int, level: float = 0.95
) -> pd.DataFrame:
    """Tau of RewardBench's average with the win rate, shaken by the published standard errors.

    The only sampling error known for the whole win rates is the standard error published with
    each. Errors are drawn independently, although all reward models answered the same prompts and
    shared candidates: their true differences are less noisy than that.

    Parameters
    ----------
    ds : Dataset
        From :func:`read_study`.
    resamples, seed, level
        Draws, seed of the random numbers, and level of the percentile interval.

    Returns
    -------
    DataFrame
        One row: ``upstream, downstream, estimate, low, high, level``.
    """
    x, win_rate = ds["rewardbench_average"].values, ds["win_rate"].values
    errors = ds["win_rate_standard_error"].values
    draws = np.random.default_rng(seed).normal(win_rate, errors, (resamples, len(x)))
    low, high = np.quantile(kendall_tau(x, draws), [(1 - level) / 2, (1 + level) / 2])
    row = {
        "upstream": "rewardbench_average",
        "downstream": "win_rate",
        "estimate": float(kendall_tau(x, win_rate)),
        "low": low,
        "high": high,
        "level": level,
    }
    return pd.DataFrame([row])


def _per_method(folder: Path, methods: list[str]) -> dict[str, tuple[list[float], dict[str, str]]]:
    """Values and attributes of the numbers known only per method."""
    leaderboard = pd.read_csv(folder / _LEADERBOARD, index_col="reward_model").loc[methods]
    results = json.loads((folder / _WIN_RATES).read_text())
    found = {}
    for column in leaderboard:
        part = "average" if column == "avg" else str(column)
        found[f"rewardbench_{part}"] = (
            leaderboard[column].to_list(),
            _attrs(f"RewardBench accuracy, {part.replace('_', ' ')}", "method_metric"),
        )
    for name, key, title, role in (
        ("win_rate", "win_rate", "best-of-16 win rate", "method_metric"),
        (
            "length_controlled_win_rate",
            "length_controlled_winrate",
            "best-of-16 win rate controlled for length",
            "method_metric",
        ),
        ("win_rate_standard_error", "standard_error", "its standard error", "standard_error"),
    ):
        found[name] = ([results[method][key] for method in methods], _attrs(title, role))
    return found


def _attrs(long_name: str, role: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "percent", "role": role}


def _candidates(folder: Path, name: str) -> np.ndarray:
    """Values of the 16 candidates, shape (prompt, candidate)."""
    frame = pd.read_csv(folder / name, index_col="prompt")
    return frame[[f"cand{number}" for number in range(16)]].to_numpy(dtype=np.float64)
