"""What a reward model says of the same examples while it is trained: a results file over steps.

The file is one like any other: a method for each step, ``NAME@STEP``, the step as a number in the
coordinate ``step``, and ``NAME`` as ``family``, for checkpoints of one run are no methods of their
own. Nothing here imports torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from preflamp_backend.data.examples import Example, candidate_names
from preflamp_backend.faults import fault
from preflamp_stats.inference.bootstrap import bootstrap
from preflamp_stats.io.files import open_results, write_results
from preflamp_stats.io.select import Results, one_dataset
from preflamp_stats.kernels.rouge import NonAsciiTextWarning
from preflamp_stats.metrics.options import MetricOptions
from preflamp_stats.metrics.values import available_metrics

_SHARED = ("user", "prompt", "reference", "candidate_text", "logprob", "n_tokens")
"""What does not change while a reward model is trained."""


class EvaluationLog:
    """Results of evaluations inside a training, in a file that is whole after each.

    Parameters
    ----------
    path : path
        Results file. One that is there goes on: further steps, seeds and methods of the same
        examples and model join it.
    examples : sequence of Example
        With candidates; those of every evaluation, in their order.
    method, model : str
        Names of the reward model that is trained, and of the base model.
    seed : int
        Of the training.
    dataset : str
        Name of the benchmark dataset.
    logprob : array_like, (examples, candidates), optional
        Log-probabilities of the candidates under the base model, nats; NaN where there is no
        candidate. Policy accuracy needs them.
    weight : float
        Weight w of the reward in policy accuracy.
    resamples : int
        Draws of users for the intervals that :meth:`add` returns.

    Raises
    ------
    InputError
        For a file of other examples or another model, or names that a file cannot hold.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> pair = {"chosen": "a", "rejected": "b"}
    >>> rows = [Example(str(i), f"user {i % 8}", "p", pair) for i in range(40)]
    >>> with TemporaryDirectory() as folder:
    ...     log = EvaluationLog(f"{folder}/run.nc", rows, method="bt", model="0.5B")
    ...     said = [log.add(step, [[step, 1.0]] * 40) for step in (0, 1, 2)]
    ...     over_steps(f"{folder}/run.nc")[["step", "estimate"]].values.tolist()
    [[0.0, 0.0], [1.0, 0.5], [2.0, 1.0]]
    """

    def __init__(
        self,
        path: str | Path,
        examples: Sequence[Example],
        *,
        method: str,
        model: str,
        seed: int = 0,
        dataset: str = "",
        logprob: ArrayLike | None = None,
        weight: float = 1.0,
        resamples: int = 1_000,
    ) -> None:
        self.path, self.examples = Path(path), list(examples)
        self.method, self.model, self.seed = method, model, seed
        self.options, self.resamples = MetricOptions(weight=weight), resamples
        self.names = candidate_names(self.examples)
        said = [[row.candidates.get(name) for name in self.names] for row in self.examples]
        texts = {
            name: ("example", np.array([getattr(row, name) or None for row in examples], object))
            for name in ("user", "prompt", "reference")
        }
        texts = {name: text for name, text in texts.items() if any(text[1])}
        self.there = np.array([[text is not None for text in row] for row in said])
        self.shared = xr.Dataset(
            {**texts, "candidate_text": (("example", "candidate"), np.array(said, object))},
            {"example": [row.id for row in examples], "candidate": self.names, "model": [model]},
            {"dataset": dataset} if dataset else {},
        )
        self.results = self._before() if self.path.exists() else None
        if logprob is not None:
            self.set_logprob(logprob)
        elif self.results is not None and "logprob" in self.results:
            self.shared["logprob"] = self.results["logprob"]

    def set_logprob(self, logprob: ArrayLike) -> None:
        """Set the base model's log-probabilities, (examples, candidates), where they come late."""
        self.shared["logprob"] = self._over(logprob, "logprob")

    def add(
        self, step: int, rewards: ArrayLike, *, generations: Sequence[str | None] | None = None
    ) -> dict[str, float]:
        """Write what one evaluation found; the same step again replaces what it found before.

        Parameters
        ----------
        step : int
        rewards : array_like, (examples, candidates)
            Candidates in the order of ``names``: chosen, rejected, then the others by name.
        generations : sequence of str, optional
            What the base model wrote for each example, guided by the rewards; None where nothing.

        Returns
        -------
        dict of str to float
            ``rm_accuracy`` and, where the file has what they need, ``policy_accuracy`` and
            ``rouge1``, each with ``_low`` and ``_high``: limits over users, NaN where there are
            too few.

        Raises
        ------
        InputError
            For rewards of another shape, or a file that cannot be written.
        """
        label, dims = f"{self.method}@{step}", ("method", "seed", "model", "example")
        reward = self._over(rewards, "reward").astype(np.float32)
        found = xr.Dataset({"reward": reward.expand_dims(method=[label], seed=[self.seed])}).merge(
            self.shared
        )
        if generations is not None:
            if len(generations) != len(self.examples):
                what = f"has {len(generations)} texts for {len(self.examples)} examples"
                raise fault(what, "give one for each, or None", variable="generation")
            found["generation"] = dims, np.array([[[[*generations]]]], object)
        found = _by_step(found)
        before = self.results
        if before is not None:
            mine = (before["method"] == label) & (before["seed"] == self.seed)
            kept = before.drop_vars(_SHARED, errors="ignore")
            kept = kept.assign({name: kept[name].where(~mine) for name in kept.data_vars})
            own = found.drop_vars(("step", "family", "method_family"))
            before = _by_step(
                own.combine_first(kept.drop_vars(("step", "family", "method_family")))
            )
        self.results = found if before is None else before
        write_results(self.results, self.path)
        return self._said(found.isel(seed=0, drop=True))

    def forget_after(self, step: int) -> None:
        """Leave out later steps of this method and seed: who goes on makes them anew."""
        if self.results is None:
            return
        ds = self.results
        stale = (ds["family"] == self.method) & (ds["step"] > step) & (ds["seed"] == self.seed)
        mine = [str(name) for name in ds.data_vars if "seed" in ds[name].dims]
        ds = ds.assign({name: ds[name].where(~stale) for name in mine})
        left = ds["reward"].notnull().any(["seed", "model", "example", "candidate"])
        self.results = ds.isel(method=np.flatnonzero(left)) if left.any() else None

    def _before(self) -> xr.Dataset:
        with open_results(self.path) as tree:
            ds = one_dataset(tree).load()
        same = ds.sizes.get("example") == len(self.examples) and all(
            name in ds and ds[name].astype(object).fillna("").equals(self.shared[name].fillna(""))
            for name in ("example", "candidate", "candidate_text", "model")
        )
        if not same or "step" not in ds.coords:
            what = "holds other examples, another model, or no steps of a training"
            raise fault(what, "name another file, or move this one away", self.path)
        return ds

    def _over(self, values: ArrayLike, name: str) -> xr.DataArray:
        array = np.asarray(values, dtype=np.float64)
        if array.shape != self.there.shape:
            what = f"has shape {array.shape}, not {self.there.shape} (examples, candidates)"
            raise fault(what, f"give a number for each of {', '.join(self.names)}", variable=name)
        lacking = self.there & ~np.isfinite(array)
        if lacking.any():
            at = self.examples[int(np.argmax(lacking.any(1)))].id
            what = f"is not a finite number in {lacking.sum()} places, such as example {at}"
            raise fault(what, "look at the model: its loss may have diverged", variable=name)
        dims = ("model", "example", "candidate")
        coords = {dim: self.shared[dim] for dim in dims}
        return xr.DataArray(np.where(self.there, array, np.nan)[None], coords, dims)

    def _said(self, ds: xr.Dataset) -> dict[str, float]:
        said: dict[str, float] = {}
        for name in _shown(ds, self.options):
            with warnings.catch_warnings():
                # Whoever analyses the file is told of texts that ROUGE cannot count.
                warnings.simplefilter("ignore", NonAsciiTextWarning)
                found = bootstrap(ds, name, n_resamples=self.resamples, options=self.options)
            found = found.squeeze()
            ends = {"": "estimate", "_low": "low", "_high": "high"}
            said |= {f"{name}{end}": found[key].item() for end, key in ends.items()}
        return said


def over_steps(
    results: str | Path | Results,
    *,
    options: MetricOptions | None = None,
    resamples: int = 2_000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Accuracy, policy accuracy and quality over the steps of a training.

    Parameters
    ----------
    results : path, Dataset, DataTree or data frame
        What :class:`EvaluationLog` wrote.
    options : MetricOptions, optional
        How metrics are computed, such as the weight of policy accuracy.
    resamples, seed, level
        Of the intervals, over users (and training seeds, where there are several).

    Returns
    -------
    pandas.DataFrame
        Columns ``family, step, model, metric, estimate, low, high, n_examples, n_users``.

    Raises
    ------
    InputError
        For results without the coordinate ``step``.
    """
    if isinstance(results, str | Path):
        with open_results(results) as tree:
            return over_steps(
                one_dataset(tree).load(),
                options=options,
                resamples=resamples,
                seed=seed,
                level=level,
            )
    ds, options = one_dataset(results), options or MetricOptions()
    if "step" not in ds.coords:
        raise fault("has no coordinate step", "give the file of an EvaluationLog", variable="step")
    frames = []
    for name in _shown(ds, options):
        found = bootstrap(
            ds, name, options=options, n_resamples=resamples, seed=seed, level=level
        ).drop_vars("note", errors="ignore")
        found = found.assign_coords({key: ds[key] for key in ("step", "family")})
        frames.append(found.to_dataframe().reset_index().assign(metric=name))
    keys = ["family", "step", "model", "metric"]
    rest = ["estimate", "low", "high", "n_examples", "n_users"]
    return (
        pd.concat(frames)[keys + rest]
        .dropna(subset="estimate")
        .sort_values(keys, ignore_index=True)
    )


def _shown(ds: xr.Dataset, options: MetricOptions) -> list[str]:
    there = [metric.name for metric in available_metrics(ds, options)]
    return [name for name in ("rm_accuracy", "policy_accuracy", "rouge1") if name in there]


def _by_step(ds: xr.Dataset) -> xr.Dataset:
    """Methods in the order of their families and steps, which their names tell."""
    parts = [str(name).rpartition("@") for name in ds["method"].values]
    ds = ds.assign_coords(
        step=("method", [int(step) for _, _, step in parts]),
        family=("method", [family for family, _, _ in parts]),
        method_family=("method", ["reward-guided"] * len(parts)),
    )
    return ds.sortby(["family", "step"])
