"""Latent variables with unit variance: effects of users, examples and seeds, and noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preflamp_stats.simulation.design import StudyDesign

__all__ = ["own_effects", "shared_effects", "user_of_example"]

Floats = NDArray[np.float32]

# Log-normal numbers of examples: median 10, mean about 20, a few users with hundreds.
_LOG_MEDIAN, _LOG_SD = np.log(10.0), 1.2


def user_of_example(design: StudyDesign, stream: np.random.SeedSequence) -> NDArray[np.int64]:
    """Index of the user of every example, users in order; shape (example,)."""
    rng = np.random.default_rng(stream)
    if isinstance(design.n_examples, int):
        counts = np.full(design.n_users, design.n_examples)
    elif isinstance(design.n_examples, str):
        drawn = np.exp(_LOG_MEDIAN + _LOG_SD * rng.standard_normal(design.n_users))
        counts = np.maximum(1, np.rint(drawn).astype(np.int64))
    else:
        low, high = design.n_examples
        counts = rng.integers(low, high, design.n_users, endpoint=True)
    return np.repeat(np.arange(design.n_users), counts)


def shared_effects(
    stream: np.random.SeedSequence, user: NDArray[np.int64], design: StudyDesign
) -> Floats:
    """Effects of users and examples that every method shares; shape (example,)."""
    of_user, of_example = (np.random.default_rng(child) for child in stream.spawn(2))
    users = design.user_sd * of_user.standard_normal(design.n_users)
    examples = design.example_sd * of_example.standard_normal(user.size)
    return (users[user] + examples).astype(np.float32)


def own_effects(
    stream: np.random.SeedSequence,
    lead: tuple[int, int, int],
    user: NDArray[np.int64],
    design: StudyDesign,
) -> Floats:
    """Complete the shared effects to unit variance: method by user, seed and noise.

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    lead : (int, int, int)
        Methods, models, seeds. Methods lead, so that adding one leaves the others as they were.
    user : array (example,)
        Index of each example's user.
    design : StudyDesign
        Standard deviations.

    Returns
    -------
    array (method, model, seed, example)
    """
    of_user, of_seed, of_example = (np.random.default_rng(child) for child in stream.spawn(3))
    own = of_example.standard_normal((*lead, user.size), dtype=np.float32)
    own *= np.float32(np.sqrt(design.noise_variance))
    if design.user_method_sd:
        users = of_user.standard_normal((lead[0], 1, 1, design.n_users), dtype=np.float32)
        own += (np.float32(design.user_method_sd) * users)[..., user]
    if design.n_seeds and design.seed_sd:
        own += np.float32(design.seed_sd) * of_seed.standard_normal((*lead, 1), dtype=np.float32)
    return own
