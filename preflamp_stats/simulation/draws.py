"""What the variables of one simulated dataset share: truth, users, lengths and latents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.truth import PlantedTruth, plant_truth

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Streams = dict[str, np.random.SeedSequence]

LOGPROB_SD = 4.0
"""Standard deviation, in nats, of the base model's log-probability difference of a pair."""

_NATS_PER_TOKEN = 2.0

# Every component has its own stream, so that one option leaves what others draw as it is.
# Append only: the place of a name decides its stream.
_COMPONENTS = (
    "truth users shared_reward own_reward reward_level ties shared_logprob own_logprob "
    "logprob_level shared_policy own_policy shared_generation own_generation icl_generation rouge "
    "icl_rouge missing lengths token_logprob reward_trace references generations icl_generations"
)


@dataclass(frozen=True)
class Study:
    """Draws that several variables of one dataset need.

    Parameters
    ----------
    design : StudyDesign
        What is simulated.
    streams : dict of str to numpy.random.SeedSequence
        Sources of random numbers by component; each is used for one purpose.
    planted : PlantedTruth
        Probits of the methods' true values.
    user : array (example,)
        Index of the user of every example.
    absent : array (method, model)
        Missing combinations; in-context methods last.
    n_tokens : array (example, candidate)
        Response lengths.
    logprob_level, logprob_margin : array (model, example)
        Mean and difference of a pair's log-probabilities, in nats.
    reward_latent : array (method, model, seed, example)
        Unit-variance latent of the rewards; axes that the file lacks have length 1.
    """

    design: StudyDesign
    streams: Streams
    planted: PlantedTruth
    user: Integers
    absent: NDArray[np.bool_]
    n_tokens: Integers
    logprob_level: Floats
    logprob_margin: Floats
    reward_latent: Floats32

    @classmethod
    def draw(cls, design: StudyDesign, seed: int | np.random.SeedSequence) -> Study:
        """Draw what the variables share."""
        if isinstance(seed, np.random.SeedSequence):
            # Spawning counts children, so a copy keeps repeated calls alike.
            root = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
        else:
            root = np.random.SeedSequence(seed)
        components = _COMPONENTS.split()
        streams = dict(zip(components, root.spawn(len(components)), strict=True))
        user = user_of_example(design, streams["users"])
        lengths = response_lengths(streams["lengths"], user.size, design.tokens)
        level, margin = _draw_logprobs(design, streams, user, lengths)
        n_models = len(design.sizes)
        lead = (design.n_methods, n_models, design.n_seeds or 1)
        latent = own_effects(streams["own_reward"], lead, user, design)
        latent += shared_effects(streams["shared_reward"], user, design)
        absent = np.zeros((design.n_methods + design.n_icl) * n_models, dtype=bool)
        order = np.random.default_rng(streams["missing"]).permutation(absent.size)
        absent[order[: design.n_missing]] = True
        return cls(
            design=design,
            streams=streams,
            planted=plant_truth(design, streams["truth"]),
            user=user,
            absent=absent.reshape(-1, n_models),
            n_tokens=lengths,
            logprob_level=level,
            logprob_margin=margin,
            reward_latent=latent,
        )

    def rng(self, component: str) -> np.random.Generator:
        """Generator of a component."""
        return np.random.default_rng(self.streams[component])

    def shared(self, component: str) -> Floats32:
        """Effects that every method shares, shape (example,)."""
        return shared_effects(self.streams[component], self.user, self.design)

    def own(self, component: str, n_methods: int) -> Floats32:
        """Effects of some methods, shape (method, model, seed, example)."""
        lead = (n_methods, len(self.design.sizes), self.design.n_seeds or 1)
        return own_effects(self.streams[component], lead, self.user, self.design)


def _draw_logprobs(
    design: StudyDesign, streams: Streams, user: Integers, n_tokens: Integers
) -> tuple[Floats, Floats]:
    """Mean and difference of the log-probabilities of each pair, dims (model, example)."""
    n_models = len(design.sizes)
    # The base model is not trained anew for every seed.
    unseeded = replace(design, n_seeds=None)
    latent = own_effects(streams["own_logprob"], (1, n_models, 1), user, unseeded)
    latent = latent[0, :, 0] + shared_effects(streams["shared_logprob"], user, design)
    margin = LOGPROB_SD * (ndtri(design.base_likelihood) + latent.astype(float))
    rng = np.random.default_rng(streams["logprob_level"])
    per_token = -_NATS_PER_TOKEN * np.exp(0.2 * rng.standard_normal((n_models, user.size)))
    usual = per_token * n_tokens.mean(axis=1)
    # Short responses are made less likely where the difference would push one above 0.
    return np.minimum(usual, -np.abs(margin) / 2 - 0.1 * n_tokens.max(axis=1)), margin


# Log-normal numbers of examples: median 10, mean about 20, a few users with hundreds.
_LOG_MEDIAN, _LOG_SD = np.log(10.0), 1.2


def user_of_example(design: StudyDesign, stream: np.random.SeedSequence) -> Integers:
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


def shared_effects(stream: np.random.SeedSequence, user: Integers, design: StudyDesign) -> Floats32:
    """Effects of users and examples that every method shares; shape (example,)."""
    of_user, of_example = (np.random.default_rng(child) for child in stream.spawn(2))
    users = design.user_sd * of_user.standard_normal(design.n_users)
    examples = design.example_sd * of_example.standard_normal(user.size)
    return (users[user] + examples).astype(np.float32)


def own_effects(
    stream: np.random.SeedSequence, lead: tuple[int, int, int], user: Integers, design: StudyDesign
) -> Floats32:
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


_TYPICAL_LENGTH = 80


def response_lengths(stream: np.random.SeedSequence, n_examples: int, longest: int) -> Integers:
    """Tokens of the chosen and the rejected response; shape (example, candidate).

    Log-normal where there is no `longest`, else uniform from a quarter of it.
    """
    rng = np.random.default_rng(stream)
    shape = (n_examples, 2)
    if longest:
        return np.asarray(rng.integers(max(1, longest // 4), longest, shape, endpoint=True))
    drawn = _TYPICAL_LENGTH * np.exp(0.5 * rng.standard_normal(shape))
    return np.asarray(np.maximum(1, np.rint(drawn)), dtype=np.int64)


def split_logprob(
    stream: np.random.SeedSequence, logprob: Floats, n_tokens: Integers, longest: int
) -> Floats32:
    """Split each response's log-probability over its tokens, all negative.

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    logprob : array (model, example, candidate)
        Negative, in nats.
    n_tokens : array (example, candidate)
        Length of each response.
    longest : int
        Length of the last axis.

    Returns
    -------
    array (model, example, candidate, token)
        NaN past the end.
    """
    rng = np.random.default_rng(stream)
    shares = rng.standard_exponential((*logprob.shape, longest), dtype=np.float32)
    shares[:, np.arange(longest) >= n_tokens[..., None]] = np.nan
    shares /= np.nansum(shares, axis=-1, keepdims=True)
    return (shares * logprob[..., None]).astype(np.float32)


def trace_reward(
    stream: np.random.SeedSequence, reward: Floats32, n_tokens: Integers, longest: int, scale: float
) -> Floats32:
    """Rewards of every prefix: Brownian bridges from the pair's level to the final reward.

    The difference of two prefixes that have read the share f of their responses is f times the
    final difference plus a bridge of variance f(1−f): with symmetric margins of mean a and
    variance 1 it ranks the pair right with probability Φ(a√f).

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    reward : array (method, model, seed, example, candidate)
        Reward of the whole response.
    n_tokens : array (example, candidate)
        Length of each response.
    longest : int
        Length of the last axis.
    scale : float
        Standard deviation of the final difference.

    Returns
    -------
    array (method, model, seed, example, candidate, token)
        NaN past the end; the last value before it equals `reward`.
    """
    rng = np.random.default_rng(stream)
    position = np.arange(1, longest + 1)
    length = n_tokens[..., None]
    share = (position / length).astype(np.float32)
    step = scale / np.sqrt(2 * length).astype(np.float32) * (position <= length)
    walk = rng.standard_normal((*reward.shape, longest), dtype=np.float32)
    walk *= step.astype(np.float32)
    np.cumsum(walk, axis=-1, out=walk)
    level = reward.mean(axis=-1, keepdims=True)
    gain = (reward - level)[..., None] - walk[..., -1:]
    walk += share * gain
    walk += level[..., None]
    trace = np.where(position == length, reward[..., None], walk)
    trace[..., position > length] = np.nan
    return trace
