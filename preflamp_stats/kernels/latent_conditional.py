"""True values given estimates, spreads and correlation: draws from a normal distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from preflamp_stats.kernels.latent_likelihood import FreeMeansModel, Hyperparameters

__all__ = ["draw_true_values"]

Array = NDArray[np.float64]


def draw_true_values(
    model: FreeMeansModel,
    factors: list[Array],
    points: Hyperparameters,
    picked: NDArray[np.intp],
    rng: np.random.Generator,
) -> Array:
    """Draw true values from their normal distribution given estimates and hyperparameters.

    Simulates true values and their estimates from the model, then adds to the simulated true
    values what the real estimates' contrasts say beyond the simulated ones (Matheron's rule).
    Written as the real estimates minus a correction, which is exactly 0 where there is no noise.

    Parameters
    ----------
    model : FreeMeansModel
        Data.
    factors : list of ndarray
        Of the covariance of the estimated contrasts at some points, from ``exact_factors``.
    points : Hyperparameters, shape (draw,)
        Point of each draw.
    picked : ndarray of int, shape (draw,)
        Which of ``factors`` belongs to each draw, ascending.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, shape (draw, 2, method)

    Examples
    --------
    >>> from preflamp_stats.kernels.latent_likelihood import exact_factors
    >>> estimates = np.array([[1.0, 2, 4], [3, 5, 8]])
    >>> model = FreeMeansModel(estimates, np.zeros((6, 6)), np.ones((3, 1)))
    >>> point = Hyperparameters(*np.array([[0.5], [1.0], [1.0]]))
    >>> _, factors = exact_factors(model, point)
    >>> draw_true_values(model, factors, point, np.array([0]), np.random.default_rng(0))
    array([[[1., 2., 4.],
            [3., 5., 8.]]])

    References
    ----------
    Doucet (2010), A note on efficient conditional simulation of Gaussian distributions.
    """
    n_draws, n_methods = len(picked), model.estimates.shape[1]
    values, vectors = np.linalg.eigh(model.covariance)
    # The symmetric root is unique, whichever eigenvectors the library finds.
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    error = rng.standard_normal((n_draws, len(root))) @ root
    first, second = rng.standard_normal((2, n_draws, n_methods))
    rho = points.rho[:, None]
    effects = np.hstack(
        [
            points.sigma_x[:, None] * first,
            points.sigma_y[:, None] * (rho * first + np.sqrt(1 - rho**2) * second),
        ]
    )
    basis = np.kron(np.eye(2), model.basis)
    missed = (model.estimates.ravel() - effects - error) @ basis.T
    # Draws of one point are neighbours: one solution for all of them.
    starts = np.flatnonzero(np.diff(picked, prepend=-1))
    for rows, point in zip(np.split(missed, starts)[1:], picked[starts], strict=True):
        rows[:] = lapack.dpotrs(factors[point], rows.T, lower=1)[0].T
    theta = model.estimates.ravel() - (error + missed @ (basis @ model.covariance))
    return np.asarray(theta.reshape(n_draws, 2, n_methods))
