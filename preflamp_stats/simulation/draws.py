"""What the variables of one simulated dataset share: truth, users, lengths and latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.truth import PlantedTruth, plant_truth

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOGPROB_SD = 4.0
"""Standard deviation, in nats, of the base model's log-probability difference of a pair."""

_NATS_PER_TOKEN = 2.0
_TYPICAL_LENGTH = 80
# Log-normal numbers of examples: median 10, mean about 20, a few users with hundreds.
_LOG_MEDIAN, _LOG_SD = np.log(10.0), 1.2

# Every component has its own stream, so that one option leaves what others draw as it is.
# Append only: the place of a name decides its stream.
_COMPONENTS = (
    "truth users shared_reward own_reward reward_level ties shared_logprob own_logprob "
    "logprob_level shared_policy own_policy shared_generation own_generation icl_generation rouge "
    "icl_rouge missing lengths token_logprob reward_trace references generations icl_generations"
)


@dataclass(frozen=True)
class Study:
    """Draws that several variables of one dataset need, each made when it is first asked for.

    Parameters
    ----------
    design : StudyDesign
        What is simulated.
    streams : dict of str to numpy.random.SeedSequence
        Sources of random numbers by component; each is used for one purpose.
    """

    design: StudyDesign
    streams: dict[str, np.random.SeedSequence]

    @classmethod
    def draw(cls, design: StudyDesign, seed: int | np.random.SeedSequence) -> Study:
        """Study of a seed."""
        if isinstance(seed, np.random.SeedSequence):
            # Spawning counts children, so a copy keeps repeated calls alike.
            root = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
        else:
            root = np.random.SeedSequence(seed)
        components = _COMPONENTS.split()
        return cls(design, dict(zip(components, root.spawn(len(components)), strict=True)))

    @cached_property
    def planted(self) -> PlantedTruth:
        """Probits of the methods' true values."""
        return plant_truth(self.design, self.streams["truth"])

    @cached_property
    def user(self) -> Integers:
        """Index of the user of every example, users in order; shape (example,)."""
        design, rng = self.design, self.rng("users")
        if isinstance(design.n_examples, int):
            counts = np.full(design.n_users, design.n_examples)
        elif isinstance(design.n_examples, str):
            drawn = np.exp(_LOG_MEDIAN + _LOG_SD * rng.standard_normal(design.n_users))
            counts = np.maximum(1, np.rint(drawn).astype(np.int64))
        else:
            low, high = design.n_examples
            counts = rng.integers(low, high, design.n_users, endpoint=True)
        return np.repeat(np.arange(design.n_users), counts)

    @cached_property
    def absent(self) -> NDArray[np.bool_]:
        """Missing combinations, shape (method, model); in-context methods last."""
        shape = (self.design.n_methods + self.design.n_icl, len(self.design.sizes))
        order = self.rng("missing").permutation(shape[0] * shape[1])
        return np.isin(np.arange(order.size), order[: self.design.n_missing]).reshape(shape)

    @cached_property
    def n_tokens(self) -> Integers:
        """Tokens of the chosen and the rejected response; shape (example, candidate).

        Log-normal where there is no longest response, else uniform from a quarter of it.
        """
        rng, shape, longest = self.rng("lengths"), (self.user.size, 2), self.design.tokens
        if longest:
            return np.asarray(rng.integers(max(1, longest // 4), longest, shape, endpoint=True))
        drawn = _TYPICAL_LENGTH * np.exp(0.5 * rng.standard_normal(shape))
        return np.asarray(np.maximum(1, np.rint(drawn)), dtype=np.int64)

    @cached_property
    def logprobs(self) -> tuple[Floats, Floats]:
        """Mean and difference of each pair's log-probabilities, nats; shapes (model, example)."""
        # The base model is not trained anew for every seed.
        unseeded = replace(self, design=replace(self.design, n_seeds=None))
        latent = unseeded.own("own_logprob", 1)[0, :, 0] + self.shared("shared_logprob")
        margin = LOGPROB_SD * (ndtri(self.design.base_likelihood) + latent.astype(float))
        drawn = self.rng("logprob_level").standard_normal(margin.shape)
        usual = -_NATS_PER_TOKEN * np.exp(0.2 * drawn) * self.n_tokens.mean(axis=1)
        # Short responses are made less likely where the difference would push one above 0.
        most = -np.abs(margin) / 2 - 0.1 * self.n_tokens.max(axis=1)
        return np.minimum(usual, most), margin

    @cached_property
    def reward_latent(self) -> Floats32:
        """Unit-variance latent of the rewards, shape (method, model, seed, example)."""
        return self.own("own_reward", self.design.n_methods) + self.shared("shared_reward")

    def rng(self, component: str) -> np.random.Generator:
        """Generator of a component."""
        return np.random.default_rng(self.streams[component])

    def _spawned(self, component: str, n: int) -> Iterator[np.random.Generator]:
        return map(np.random.default_rng, self.streams[component].spawn(n))

    def shared(self, component: str) -> Floats32:
        """Effects of users and examples that every method shares; shape (example,)."""
        of_user, of_example = self._spawned(component, 2)
        users = self.design.user_sd * of_user.standard_normal(self.design.n_users)
        examples = self.design.example_sd * of_example.standard_normal(self.user.size)
        return (users[self.user] + examples).astype(np.float32)

    def own(self, component: str, n_methods: int) -> Floats32:
        """Complete the shared effects to unit variance: method by user, seed and noise.

        Returns
        -------
        array (method, model, seed, example)
            Methods lead, so that adding one leaves the others as they were. Axes that the file
            lacks have length 1.
        """
        design = self.design
        lead = (n_methods, len(design.sizes), design.n_seeds or 1)
        of_user, of_seed, of_example = self._spawned(component, 3)
        own = of_example.standard_normal((*lead, self.user.size), dtype=np.float32)
        own *= np.float32(np.sqrt(design.noise_variance))
        if design.user_method_sd:
            users = of_user.standard_normal((n_methods, 1, 1, design.n_users), dtype=np.float32)
            own += (np.float32(design.user_method_sd) * users)[..., self.user]
        if design.n_seeds and design.seed_sd:
            seeds = of_seed.standard_normal((*lead, 1), dtype=np.float32)
            own += np.float32(design.seed_sd) * seeds
        return own

    def token_logprobs(self, logprob: Floats) -> Floats32:
        """Split each response's log-probability over its tokens, all negative.

        Parameters
        ----------
        logprob : array (model, example, candidate)
            Negative, in nats.

        Returns
        -------
        array (model, example, candidate, token)
            NaN past the end.
        """
        longest = self.design.tokens
        shape = (*logprob.shape, longest)
        shares = self.rng("token_logprob").standard_exponential(shape, dtype=np.float32)
        shares[:, np.arange(longest) >= self.n_tokens[..., None]] = np.nan
        shares /= np.nansum(shares, axis=-1, keepdims=True)
        return (shares * logprob[..., None]).astype(np.float32)

    def reward_traces(self, reward: Floats32, scale: float) -> Floats32:
        """Rewards of every prefix: Brownian bridges from the pair's level to the final reward.

        The difference of two prefixes that have read the share f of their responses is f times the
        final difference plus a bridge of variance f(1−f): with symmetric margins of mean a and
        variance 1 it ranks the pair right with probability Φ(a√f).

        Parameters
        ----------
        reward : array (method, model, seed, example, candidate)
            Reward of the whole response.
        scale : float
            Standard deviation of the final difference.

        Returns
        -------
        array (method, model, seed, example, candidate, token)
            NaN past the end; the last value before it equals `reward`.
        """
        shape, length = (*reward.shape, self.design.tokens), self.n_tokens[..., None]
        position = np.arange(1, shape[-1] + 1)
        share = (position / length).astype(np.float32)
        step = scale / np.sqrt(2 * length).astype(np.float32) * (position <= length)
        walk = self.rng("reward_trace").standard_normal(shape, dtype=np.float32)
        walk *= step.astype(np.float32)
        np.cumsum(walk, axis=-1, out=walk)
        level = reward.mean(axis=-1, keepdims=True)
        walk += share * ((reward - level)[..., None] - walk[..., -1:])
        walk += level[..., None]
        trace = np.where(position == length, reward[..., None], walk)
        trace[..., position > length] = np.nan
        return trace
