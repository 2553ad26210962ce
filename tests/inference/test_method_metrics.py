from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import xarray as xr

from preflamp_stats.errors import InputError
from preflamp_stats.inference.method_metrics import mean_over_seeds
from preflamp_stats.inference.resampled import ResampledStudy, study_of_call
from preflamp_stats.inference.streams import stream
from preflamp_stats.inference.units import resampling_units
from preflamp_stats.metrics.discrimination import policy_accuracy, rm_accuracy
from preflamp_stats.metrics.options import MetricOptions

NAMES = ["rm_accuracy", "policy_accuracy", "rouge1", "helpfulness", "leaderboard"]


def _study(ds: xr.Dataset, names: list[str] = NAMES, **chosen: object) -> ResampledStudy:
    return study_of_call(ds, names, None, **chosen)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("n_seeds", [0, 3])
def test_estimates_are_the_metrics_averaged_over_seeds(make_study, average, n_seeds):
    ds = make_study(missing=0.2, n_seeds=n_seeds, n_examples=60)
    options = {"average": average, "ties": "drop", "weight": 0.5}
    found = study_of_call(ds, NAMES, MetricOptions(**options)).summed
    expected = {
        "rm_accuracy": rm_accuracy(ds, ties="drop", average=average),
        "policy_accuracy": policy_accuracy(ds, **options),
    }
    for name, metric in expected.items():
        values = metric.mean("seed") if n_seeds else metric
        estimate = found[name].estimate.transpose(*values.dims)
        np.testing.assert_allclose(estimate, values, rtol=1e-11)
        assert found[name].estimate.dims[-1] == "method"


def test_sizes_behind_each_value(make_study):
    ds = make_study(n_seeds=2, without_reward=1)
    ds["reward"][0, 1] = np.nan  # the first method lacks its second seed
    ds["reward"][1, :, :10] = np.nan
    found = _study(ds).summed
    accuracy = found["rm_accuracy"]
    assert ds.sizes["example"] == 25
    assert accuracy.n_examples.values.tolist() == [25, 15, 25, 25, 0]
    assert accuracy.n_seeds.values.tolist() == [1, 2, 2, 2, 0]
    users = ds["user"].values
    assert accuracy.n_users.values.tolist()[:2] == [len(set(users)), len(set(users[10:]))]
    assert (found["helpfulness"].n_seeds == 0).all()
    assert (found["leaderboard"].n_users == 0).all()


def test_a_number_known_only_per_method_does_not_vary(make_study):
    ds = make_study()
    drawn = _study(ds, n_resamples=7).drawn["leaderboard"]
    assert drawn.sums is None
    assert drawn.draws.sizes["resample"] == 7
    np.testing.assert_array_equal(drawn.draws, np.tile(ds["leaderboard"].values, (7, 1)))


def test_draws_of_a_metric_do_not_depend_on_what_else_is_asked_for(make_study):
    ds = make_study(n_seeds=2)
    chosen = {"n_resamples": 30, "seed": 4}
    together = _study(ds, **chosen).drawn
    for name in NAMES:
        alone = _study(ds, [name], **chosen).drawn[name]
        xr.testing.assert_identical(alone.draws, together[name].draws)
    more = _study(ds, **{**chosen, "n_resamples": 45}).drawn
    for other, name, same in (({"seed": 5}, None, False), ({}, "tldr", False), ({}, None, True)):
        named = ds.assign_attrs(dataset=name) if name else ds
        draws = _study(named, ["rouge1"], **{**chosen, **other}).drawn["rouge1"].draws
        assert draws.equals(more["rouge1"].draws.isel(resample=slice(30))) == same


def test_metrics_are_drawn_on_the_same_users(make_study):
    ds = make_study()
    ds["twice"] = (2 * ds["helpfulness"]).assign_attrs(role="generation_metric")
    drawn = _study(ds, ["helpfulness", "twice"], n_resamples=50, seed=1).drawn
    np.testing.assert_allclose(drawn["twice"].draws, 2 * drawn["helpfulness"].draws, rtol=1e-9)


def _seed_draws(values: list[float], n_resamples: int = 40_000) -> xr.DataArray:
    return xr.DataArray(
        np.tile(values, (n_resamples, 1, 1)),
        dims=("resample", "method", "seed"),
        coords={"method": ["lore"]},
    )


@pytest.mark.parametrize("values", [[0.5, 0.7], [0.5, 0.6, 0.61, 0.9, np.nan]])
def test_variance_between_trainings_is_the_unbiased_one(values):
    drawn = mean_over_seeds(_seed_draws(values), partial(stream, 0))
    there = np.array(values)[~np.isnan(values)]
    np.testing.assert_allclose(drawn.mean(), there.mean(), atol=2e-3)
    np.testing.assert_allclose(drawn.var(), there.var(ddof=1) / len(there), rtol=0.03)


@pytest.mark.parametrize("values", [[0.5], [0.5, np.nan]])
def test_one_training_has_no_variance_between_trainings(values):
    drawn = mean_over_seeds(_seed_draws(values, 50), partial(stream, 0))
    assert (drawn == 0.5).all()


def test_seeds_taken_as_fixed_are_averaged():
    draws = _seed_draws([0.25, 0.5, np.nan], 10)
    np.testing.assert_array_equal(mean_over_seeds(draws, None), np.full((10, 1), 0.375))


def test_a_method_draws_its_seeds_apart_from_others_and_alike_in_every_metric(make_study):
    draws = xr.concat([_seed_draws([0.0, 1.0, 5.0], 200)] * 2, "method")
    draws = draws.assign_coords(method=["lore", "vpl"])
    both = mean_over_seeds(draws, partial(stream, 0))
    assert not (both[:, 0] == both[:, 1]).all()
    alone = mean_over_seeds(draws.isel({"method": [1]}), partial(stream, 0))
    np.testing.assert_array_equal(alone[:, 0], both[:, 1])


def test_unknown_names_are_refused(make_study):
    with pytest.raises(InputError, match=r"rouge9: cannot be computed.*choose one of rm_accuracy"):
        _study(make_study(), ["rouge9"])
    with pytest.raises(InputError, match="resample: is 'user'; choose one of users, examples"):
        resampling_units(make_study(), "user")
