"""The variables of a simulated dataset, from its draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.simulation.draws import LOGPROB_SD, Study, split_logprob, trace_reward
from preflamp_stats.simulation.truth import plant_asymmetry, scale_margin

# Standard deviation over examples of probit ROUGE-1.
_ROUGE_SD = 0.5

Floats32 = NDArray[np.float32]


def user_labels(study: Study) -> NDArray[np.str_]:
    """Name of the user of every example, shape (example,)."""
    width = max(4, len(str(study.design.n_users - 1)))
    labels = np.array([f"u{index:0{width}d}" for index in range(study.design.n_users)])
    return labels[study.user]


def input_variables(study: Study) -> dict[str, xr.Variable]:
    """Users, response lengths and, where asked for, toy texts."""
    found = {
        "user": xr.Variable(("example",), user_labels(study)),
        "n_tokens": xr.Variable(("example", "candidate"), study.n_tokens),
    }
    if study.design.texts:
        words, prompts, rejected = write_references(study.streams["references"], study.user.size)
        references = join_words(words)
        pair = np.stack([references, rejected], axis=-1)
        found |= {
            "prompt": xr.Variable(("example",), prompts),
            "reference": xr.Variable(("example",), references),
            "candidate_text": xr.Variable(("example", "candidate"), pair),
        }
    return found


def logprob_variables(study: Study) -> dict[str, xr.Variable]:
    """Log-probabilities of the base models."""
    logprob = _pair(study.logprob_level, study.logprob_margin)
    dims = ("model", "example", "candidate")
    found = {}
    longest = study.design.tokens
    if longest:
        tokens = split_logprob(study.streams["token_logprob"], logprob, study.n_tokens, longest)
        # Summed after rounding, so that the tokens add up to the whole.
        logprob = np.asarray(np.nansum(tokens, axis=-1, dtype=np.float64))
        found["token_logprob"] = xr.Variable((*dims, "token"), tokens)
    return {"logprob": xr.Variable(dims, logprob), **found}


def reward_variables(study: Study) -> dict[str, xr.Variable]:
    """Rewards and, where asked for, traces and a stored policy score; none without guidance."""
    design, planted = study.design, study.planted
    if study.absent[: design.n_methods].all():
        return {}
    stored, asymmetry = design.scoring == "stored", np.ones_like(planted.rm)
    if not stored:
        asymmetry = plant_asymmetry(planted.rm, planted.policy, design.base_likelihood)
    latent = planted.rm[:, :, None, None].astype(np.float32) + study.reward_latent
    scale = LOGPROB_SD / design.weight
    factor = asymmetry[:, :, None, None].astype(np.float32)
    margin = np.float32(scale) * scale_margin(latent, factor)
    if design.ties:
        margin[study.rng("ties").random(margin.shape, dtype=np.float32) < design.ties] = 0
    level = study.rng("reward_level").standard_normal(margin.shape, dtype=np.float32)
    reward = _pair(level, margin)
    dims = ("method", "model", "seed", "example", "candidate")
    found = {"reward": _guided(study, dims, reward, modelled=False)}
    if design.tokens:
        stream = study.streams["reward_trace"]
        traces = trace_reward(stream, reward, study.n_tokens, design.tokens, scale)
        found["reward_trace"] = _guided(study, (*dims, "token"), traces, modelled=False)
    if stored:
        own = study.own("own_policy", design.n_methods) + study.shared("shared_policy")
        latent = (study.reward_latent + own) / np.float32(np.sqrt(2))
        latent += planted.policy[:, :, None, None].astype(np.float32)
        level = study.logprob_level[None, :, None].astype(np.float32)
        score = _pair(level, np.float32(LOGPROB_SD) * latent)
        found["policy_score"] = _guided(study, dims, score, modelled=True)
    return found


def _guided(
    study: Study, dims: tuple[str, ...], values: Floats32, *, modelled: bool
) -> xr.Variable:
    """Append NaN rows for the methods without reward, and drop dims that the file lacks."""
    n_guided = study.design.n_methods
    full = np.full((study.absent.shape[0], *values.shape[1:]), np.nan, dtype=np.float32)
    full[:n_guided] = values
    full[study.absent] = np.nan
    variable = xr.Variable(dims, full)
    if not modelled and len(study.design.sizes) == 1:
        variable = variable.isel(model=0)
    return variable if study.design.n_seeds else variable.isel(seed=0)


def generation_variables(study: Study) -> dict[str, xr.Variable]:
    """ROUGE of the generations, or their texts."""
    design, planted = study.design, study.planted
    shared = study.shared("shared_generation")
    guided = study.own("own_generation", design.n_methods) + shared
    icl = study.own("icl_generation", design.n_icl) + shared
    if design.example_correlation:
        along = np.float32(design.example_correlation)
        guided = along * study.reward_latent + np.sqrt(1 - along**2) * guided
    # The mean of Φ(t√(1+s²) + s·z) over a standard normal z is Φ(t).
    stretch = np.sqrt(1 + _ROUGE_SD**2)
    centres = np.concatenate([planted.rouge, planted.icl_rouge]) * stretch
    effects = np.float32(_ROUGE_SD) * np.concatenate([guided, icl])
    probit = centres[:, :, None, None].astype(np.float32) + effects
    probit[study.absent] = np.nan
    if design.texts:
        return _texts(study, ndtr(probit))
    parts = (("rouge", guided.shape), ("icl_rouge", icl.shape))
    drawn = [study.rng(name).standard_normal((*s, 2), dtype=np.float32) for name, s in parts]
    noise = np.abs(np.concatenate(drawn))
    less = {"rouge1": 0, "rouge2": 0.9 + 0.2 * noise[..., 0], "rougeL": 0.2 + 0.1 * noise[..., 1]}
    return {name: _generated(study, ndtr(probit - loss)) for name, loss in less.items()}


def _texts(study: Study, quality: Floats32) -> dict[str, xr.Variable]:
    words, _, _ = write_references(study.streams["references"], study.user.size)
    n_guided = study.design.n_methods
    parts = (("generations", quality[:n_guided]), ("icl_generations", quality[n_guided:]))
    texts = np.concatenate(
        [write_generations(study.streams[name], words, part) for name, part in parts if part.size]
    )
    return {"generation": _generated(study, texts)}


def _generated(study: Study, values: NDArray[Any]) -> xr.Variable:
    variable = xr.Variable(("method", "model", "seed", "example"), values)
    return variable if study.design.n_seeds else variable.isel(seed=0)


def _pair(level: NDArray[Any], margin: NDArray[Any]) -> NDArray[Any]:
    """Values of the chosen and the rejected response, as a last axis."""
    half = margin / 2
    return np.stack([level + half, level - half], axis=-1)


REFERENCE_LENGTH = 20
"""Words of every toy text."""

Strings = NDArray[np.str_]

# Words of the reference and words that never occur in one; no two share a stem.
_OWN_WORDS, _OTHER_WORDS = (
    np.array(text.split())
    for text in (
        """
        river stone garden winter letter bridge candle forest harbour market mirror ocean paper
        pencil planet pocket rabbit saddle silver spider summer table thunder ticket tower valley
        violin window yellow basket butter castle cotton desert dragon engine falcon feather finger
        flower
        """,
        """
        anchor apple barrel beacon blanket bottle button cabin camel carpet cellar cherry circle
        cloud copper corner cousin curtain dinner doctor eagle elbow fabric farmer fiddle fossil
        guitar hammer helmet island jacket kettle ladder lemon magnet marble needle onion orange
        parrot
        """,
    )
)


def join_words(words: Strings) -> Strings:
    """Texts of words joined by spaces, shape (..., word) to (...)."""
    flat = words.reshape(-1, words.shape[-1]).tolist()
    return np.array([" ".join(row) for row in flat]).reshape(words.shape[:-1])


def write_references(
    stream: np.random.SeedSequence, n_examples: int
) -> tuple[Strings, Strings, Strings]:
    """Words of the references, and texts of prompts and rejected responses.

    Returns
    -------
    words : array (example, word)
        Words of each reference.
    prompts, rejected : array (example,)
        Texts of other words.
    """
    rng = np.random.default_rng(stream)
    words = _OWN_WORDS[rng.integers(0, _OWN_WORDS.size, (n_examples, REFERENCE_LENGTH))]
    others = _OTHER_WORDS[rng.integers(0, _OTHER_WORDS.size, (n_examples, REFERENCE_LENGTH))]
    topics = _OWN_WORDS[rng.integers(0, _OWN_WORDS.size, n_examples)]
    prompts = np.char.add("Write about the ", topics)
    return words, prompts, join_words(others)


def write_generations(
    stream: np.random.SeedSequence, references: Strings, quality: NDArray[np.floating]
) -> Strings:
    """Texts that keep each word of the reference with the given probability.

    Every other word is replaced by one that no reference has, so ROUGE-1 is the share of kept
    words, whose mean is `quality`. The words then start from a random place, which lowers
    ROUGE-L and leaves ROUGE-1.

    Parameters
    ----------
    stream : numpy.random.SeedSequence
        Source of the random numbers.
    references : array (example, word)
        Words of each reference.
    quality : array (..., example)
        Probability of keeping a word; NaN gives an empty text.

    Returns
    -------
    array (..., example)
    """
    rng = np.random.default_rng(stream)
    shape = (*quality.shape, references.shape[-1])
    kept = rng.random(shape) < quality[..., None]
    words = np.where(kept, references, _OTHER_WORDS[rng.integers(0, _OTHER_WORDS.size, shape)])
    start = rng.integers(0, shape[-1], (*quality.shape, 1))
    order = (np.arange(shape[-1]) + start) % shape[-1]
    texts = join_words(np.take_along_axis(words, order, axis=-1))
    return np.where(np.isnan(quality), "", texts)
