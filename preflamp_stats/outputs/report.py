"""What the variables of one simulated dataset share: truth, users, lengths and latents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.latent import own_effects, shared_effects, user_of_example
from preflamp_stats.simulation.responses import response_lengths
from preflamp_stats.simulation.truth import PlantedTruth, plant_truth

__all__ = ["LOGPROB_SD", "Study"]

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]

LOGPROB_SD = 4.0
"""Standard deviation, in nats, of the base model's log-probability difference of a pair."""

_NATS_PER_TOKEN = 2.0

# Every component has its own stream, so that one option leaves what others draw as it is.
# Append only: the place of a name decides its stream.
_STREAMS = (
    "truth",
    "users",
    "shared_reward",
    "own_reward",
    "reward_level",
    "ties",
    "shared_logprob",
    "own_logprob",
    "logprob_level",
    "shared_policy",
    "own_policy",
    "shared_generation",
    "own_generation",
    "icl_generation",
    "rouge",
    "icl_rouge",
    "missing",
    "lengths",
    "token_logprob",
    "reward_trace",
    "references",
    "generations",
    "icl_generations",
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
    streams: dict[str, np.random.SeedSequence]
    planted: PlantedTruth
    user: NDArray[np.int64]
    absent: NDArray[np.bool_]
    n_tokens: NDArray[np.int64]
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
        streams = dict(zip(_STREAMS, root.spawn(len(_STREAMS)), strict=True))
        user = user_of_example(design, streams["users"])
        lengths = response_lengths(streams["lengths"], user.size, design.tokens)
        level, margin = _draw_logprobs(design, streams, user, lengths)
        n_models = len(design.sizes)
        latent = own_effects(
            streams["own_reward"], (design.n_methods, n_models, design.n_seeds or 1), user, design
        )
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


def _draw_logprobs(
    design: StudyDesign,
    streams: dict[str, np.random.SeedSequence],
    user: NDArray[np.int64],
    n_tokens: NDArray[np.int64],
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
