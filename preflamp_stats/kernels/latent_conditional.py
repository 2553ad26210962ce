"""True values given estimates, spreads and correlation: draws from a normal distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.kernels.latent_likelihood import GroupedModel, Hyperparameters

__all__ = ["draw_true_values"]

Array = NDArray[np.float64]


def draw_true_values(
    model: GroupedModel,
    covariance: Array,
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
    model : GroupedModel
        Data.
    covariance : ndarray, shape (point, 2 × contrast, 2 × contrast)
        Of the estimated contrasts, from ``contrast_covariance``.
    points : Hyperparameters, shape (draw,)
        Point of each draw.
    picked : ndarray of int, shape (draw,)
        Which ``covariance`` belongs to each draw, ascending.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, shape (draw, 2, method)

    Examples
    --------
    >>> from preflamp_stats.kernels.latent_likelihood import contrast_covariance
    >>> estimates = np.array([[1.0, 2, 4], [3, 5, 8]])
    >>> model = GroupedModel(estimates, np.zeros((6, 6)), np.zeros(3, dtype=int))
    >>> point = Hyperparameters(*np.array([[0.5], [1.0], [1.0]]))
    >>> covariance = contrast_covariance(model, point)
    >>> draw_true_values(model, covariance, point, np.array([0]), np.random.default_rng(0))
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
    solved = _solve_each(covariance, missed, picked)
    theta = model.estimates.ravel() - (error + solved @ (basis @ model.covariance))
    return np.asarray(theta.reshape(n_draws, 2, n_methods))


def _solve_each(matrices: Array, rows: Array, which: NDArray[np.intp]) -> Array:
    """Solve matrices[which[i]] v = rows[i] for all i; ``which`` is ascending.

    Rows of one matrix become columns of one right-hand side, padded with zeros.
    """
    used, row_of, repeats = np.unique(which, return_inverse=True, return_counts=True)
    column_of = np.arange(len(which)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    right = np.zeros((len(used), rows.shape[1], repeats.max()))
    right[row_of, :, column_of] = rows
    return np.asarray(np.linalg.solve(matrices[used], right)[row_of, :, column_of])
