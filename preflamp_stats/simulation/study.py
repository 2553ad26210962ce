"""From a design to a results file with known truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtr

from preflamp_stats.errors import InputError, Problem
from preflamp_stats.io.variables import SCHEMA_VERSION, annotated
from preflamp_stats.kernels.kendall import kendall_tau
from preflamp_stats.simulation.design import StudyDesign
from preflamp_stats.simulation.draws import LOGPROB_SD, Study
from preflamp_stats.simulation.truth import plant_asymmetry, scale_margin

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

# Standard deviation over examples of probit ROUGE-1.
_ROUGE_SD = 0.5


def simulate(*, datasets: Sequence[str] = (), seed: int = 0, **options: Any) -> xr.DataTree:
    """Simulate a results file with known truth.

    Parameters
    ----------
    datasets : sequence of str
        Names of the benchmark datasets, one group each, with truths of their own; none puts a
        single dataset into the root group.
    seed : int
        Same seed and options, same bytes. Options that concern one part of a study, such as
        ``n_icl`` or ``texts``, leave the numbers of every other part as they are.
    **options
        Fields of :class:`StudyDesign`.

    Returns
    -------
    xarray.DataTree
        A valid results file; its groups are described under :func:`simulate_dataset`.

    Raises
    ------
    InputError
        For options out of range, a policy accuracy that cannot be planted, or a study that this
        machine's memory cannot hold.

    Examples
    --------
    >>> tree = simulate(datasets=["tldr", "prism"], n_users=5, n_examples=4, seed=1)
    >>> sorted(tree.children)
    ['prism', 'tldr']
    >>> dict(tree["tldr"].sizes)["example"]
    20
    """
    design = StudyDesign(**options)
    _check_memory(2 * design.bytes * max(1, len(datasets)))
    attributes = {
        "preflamp_schema": SCHEMA_VERSION,
        "title": "Simulated study with known truth",
        "simulation_seed": seed,
        "simulation_design": design.as_json(),
    }
    if not datasets:
        return xr.DataTree(simulate_dataset(design, seed=seed).assign_attrs(attributes))
    seeds = np.random.SeedSequence(seed).spawn(len(datasets))
    groups = {
        f"/{name}": simulate_dataset(design, seed=own)
        for name, own in zip(datasets, seeds, strict=True)
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), **groups})


def simulate_dataset(design: StudyDesign, *, seed: int | np.random.SeedSequence = 0) -> xr.Dataset:
    """Simulate one benchmark dataset with known truth.

    The latent difference behind a pair is the method's probit plus a standard normal made of
    effects of the user, the example, the user on the method, the training seed, and noise; true
    RM accuracy is thus Φ of the probit, in the population of users, examples and seeds. Reward
    margins are stretched where positive and shrunk where negative (or the reverse) so that
    log-probability plus w times reward has exactly the planted policy accuracy
    (:func:`preflamp_stats.simulation.truth.plant_asymmetry`).

    Parameters
    ----------
    design : StudyDesign
        What to simulate.
    seed : int or numpy.random.SeedSequence
        Source of every random number.

    Returns
    -------
    xarray.Dataset
        Variables of the results file, and the truth, with attribute ``role = "truth"``:
        ``true_rm_accuracy``, ``true_policy_accuracy`` (both with half a point for a tie) and
        ``true_rouge1``, dims (model, method), and Kendall's tau-b over methods between the first
        and each of the others, ``true_tau_policy_accuracy`` and ``true_tau_rouge1``, dim (model).

    Raises
    ------
    InputError
        If a policy accuracy cannot be planted.

    Examples
    --------
    >>> ds = simulate_dataset(StudyDesign(n_methods=3, n_users=10), seed=2)
    >>> dict(ds["reward"].sizes)
    {'method': 4, 'example': 200, 'candidate': 2}
    """
    study = Study.draw(design, seed)
    variables = {
        **input_variables(study),
        **logprob_variables(study),
        **reward_variables(study),
        **generation_variables(study),
        **_truth_variables(study),
    }
    return annotated(xr.Dataset(variables, coords=_coordinates(study)))


def _check_memory(needed: int) -> None:
    """Refuse what could only end in the process being killed."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        # Where the system does not tell, numpy's own refusal of an allocation remains.
        return
    if needed > memory:
        what = f"the study would take {needed / 2**30:,.1f} GiB of memory or more, "
        what += f"and this machine has {memory / 2**30:,.1f}"
        raise InputError(Problem(what, "take fewer users, examples, methods or tokens"))


def _coordinates(study: Study) -> dict[str, Any]:
    """Coordinates of the dataset."""
    design = study.design
    guided, icl = _labels("guided", design.n_methods), _labels("icl", design.n_icl)
    families = ["reward-guided"] * len(guided) + ["in-context"] * len(icl)
    starts = np.searchsorted(study.user, np.arange(design.n_users))
    within = np.arange(study.user.size) - starts[study.user]
    width = len(str(within.max()))
    places = zip(user_labels(study).tolist(), within.tolist(), strict=True)
    examples = [f"{name}-{place:0{width}d}" for name, place in places]
    coords: dict[str, Any] = {
        "example": ("example", examples, {"long_name": "preference pair"}),
        "candidate": ("candidate", ["chosen", "rejected"]),
        "model": ("model", list(design.sizes)),
        "method": ("method", guided + icl),
        "method_family": ("method", families),
        "parameters": ("model", np.fromiter(design.sizes.values(), dtype=np.int64)),
    }
    if design.n_seeds:
        coords["seed"] = ("seed", np.arange(design.n_seeds), {"long_name": "training seed"})
    return coords


def _truth_variables(study: Study) -> dict[str, xr.Variable]:
    """Planted values, NaN where a method has none, and Kendall's tau between them."""
    design, planted = study.design, study.planted
    ties, base = design.ties, design.base_likelihood
    tied_policy = ties if design.scoring == "sequence" else 0.0
    none = np.full_like(planted.icl_rouge, np.nan)
    true = {
        "rm_accuracy": [(1 - ties) * ndtr(planted.rm) + ties / 2, none],
        "policy_accuracy": [(1 - tied_policy) * ndtr(planted.policy) + tied_policy * base, none],
        "rouge1": [ndtr(planted.rouge), ndtr(planted.icl_rouge)],
    }
    values = {
        name: np.where(study.absent, np.nan, np.concatenate(parts)).T
        for name, parts in true.items()
    }
    found = {
        f"true_{name}": _truth(("model", "method"), value, f"planted {name}")
        for name, value in values.items()
    }
    for name in ("policy_accuracy", "rouge1"):
        taus = np.asarray(kendall_tau(values["rm_accuracy"], values[name]))
        label = f"Kendall's tau-b between planted rm_accuracy and planted {name}"
        found[f"true_tau_{name}"] = _truth(("model",), taus, label)
    return found


def _labels(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{i + 1:0{max(2, len(str(count)))}d}" for i in range(count)]


def _truth(dims: tuple[str, ...], values: NDArray[Any], long_name: str) -> xr.Variable:
    return xr.Variable(dims, values, {"long_name": long_name, "units": "1", "role": "truth"})


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
    logprob = _pair(*study.logprobs)
    dims = ("model", "example", "candidate")
    found = {}
    if study.design.tokens:
        tokens = study.token_logprobs(logprob)
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
        traces = study.reward_traces(reward, scale)
        found["reward_trace"] = _guided(study, (*dims, "token"), traces, modelled=False)
    if stored:
        own = study.own("own_policy", design.n_methods) + study.shared("shared_policy")
        latent = (study.reward_latent + own) / np.float32(np.sqrt(2))
        latent += planted.policy[:, :, None, None].astype(np.float32)
        level = study.logprobs[0][None, :, None].astype(np.float32)
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
