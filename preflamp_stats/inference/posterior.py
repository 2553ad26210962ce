"""The draws behind tau's interval, as arviz reads them."""

from __future__ import annotations

import xarray as xr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.inference.alignment import align_metrics
from preflamp_stats.inference.resampled import study_of_call
from preflamp_stats.inference.tau_evidence import model_evidence
from preflamp_stats.io.select import Results
from preflamp_stats.metrics.options import MetricOptions

__all__ = ["tau_posterior"]


def tau_posterior(
    ds: Results,
    upstream: str = "rm_accuracy",
    downstream: str = "policy_accuracy",
    *,
    n_resamples: int = 10_000,
    seed: int = 0,
    options: MetricOptions | None = None,
    include_seeds: bool = True,
) -> xr.DataTree:
    """Draws of the methods' true values, and of tau, given what was measured.

    Parameters
    ----------
    ds : Dataset
        One benchmark dataset of a results file.
    upstream, downstream, n_resamples, seed, options, include_seeds
        As of :func:`preflamp_stats.tau_test`, whose interval rests on the same draws.

    Returns
    -------
    DataTree
        Group ``posterior``, dims (chain, draw, [model], [method]): ``upstream`` and ``downstream``,
        the true values, of which only differences between methods are modelled; ``tau`` of these
        methods; ``rho`` and ``population_tau`` of methods like these. Chains and draws are named as
        arviz names them. A model that does not allow a tau is missing.

    Raises
    ------
    InputError
        If the dataset lacks a metric, or no model allows a tau; the message says why.

    Examples
    --------
    >>> import preflamp_stats as pls
    >>> study = pls.simulate(n_methods=5, n_users=40, n_examples=5, seed=1)
    >>> draws = tau_posterior(study, n_resamples=200)
    >>> dict(draws["posterior"].sizes)["chain"], float(abs(draws["posterior/tau"]).max()) <= 1
    (1, True)
    """
    asked = {"n_resamples": n_resamples, "seed": seed, "include_seeds": include_seeds}
    study = study_of_call(ds, [upstream, downstream], options, resample="users", **asked)
    x, y = study.drawn[upstream], study.drawn[downstream]
    aligned = align_metrics({"x": x, "y": y})
    parts, why = [], ""
    for here in aligned.by_model:
        evidence = model_evidence(here, x, y, study.settings, study.name)
        if evidence.obstacle:
            why = evidence.obstacle
            continue
        draws, by_method = evidence.latent, ("draw", "method")
        part = xr.Dataset(
            {
                "upstream": (by_method, (x.info.sign or 1) * draws.theta_x),
                "downstream": (by_method, (y.info.sign or 1) * draws.theta_y),
                "tau": ("draw", evidence.latent_tau),
                "rho": ("draw", draws.rho),
                "population_tau": ("draw", draws.population_tau),
            },
            coords={"method": here.methods[evidence.compared]},
        )
        parts.append(part if here.model is None else part.assign_coords(model=here.model))
    if not parts:
        raise InputError(Problem(why, "see tau_test", variable=f"{upstream}, {downstream}"))
    joined = xr.concat(parts, "model", join="outer") if "model" in parts[0].coords else parts[0]
    joined = joined.expand_dims(chain=[0]).assign_coords(draw=range(joined.sizes["draw"]))
    joined = joined.transpose("chain", "draw", "model", "method", missing_dims="ignore")
    return xr.DataTree.from_dict(
        {"/posterior": joined.assign_attrs(upstream=upstream, downstream=downstream, seed=seed)}
    )
