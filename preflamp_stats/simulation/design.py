"""The design of a simulated study: every option, checked once."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, Literal

from preflamp_stats.choices import number_option, option_problems
from preflamp_stats.errors import InputError, Problem

MethodEffects = Literal["normal", "t3", "skewed", "clusters"]
PlantedScoring = Literal["sequence", "stored"]

_DEFAULT_MODELS = ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B")
_UNEQUAL_MEAN = 20.0
_TEXT_BYTES = 4 * 146
"""Of the longest toy generation, as numpy keeps it."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])", re.IGNORECASE)


def _is_number_of_examples(value: Any) -> bool:
    if isinstance(value, tuple):
        return len(value) == 2 and 1 <= value[0] <= value[1]
    return value == "unequal" if isinstance(value, str) else value >= 1


# Ranges, what to take instead, and the kind of number.
_SHARE: Any = (lambda share: 0 < share < 1, "take a share in (0, 1)")
_CORRELATION: Any = (lambda r: abs(r) <= 1, "take -1 to 1")
_LEAST_0: Any = (lambda x: x >= 0, "take 0 or more")
_PROBITS: Any = (lambda x: x >= 0, "take 0 or more probits")
_COUNT: Any = (*_LEAST_0, Integral)


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """What a simulated study looks like and which truth is planted in it.

    Means and spreads are on the probit scale: a method whose probit is t has the accuracy (or the
    mean ROUGE) Φ(t), exactly. Standard deviations named ``*_sd`` split the unit variance of the
    latent difference behind every pair; what they leave is noise of its own for every response.

    Parameters
    ----------
    n_methods : int
        Reward-guided methods.
    n_icl : int
        In-context methods: they have generations and no reward.
    models : int, sequence of str, or mapping of str to float
        Base models: how many, their labels (``"0.5B"``, ``"350M"``; the size is read from the
        label), or labels with parameter counts.
    n_seeds : int, optional
        Training seeds of each method; None or 0 leaves the ``seed`` dim out.
    n_users : int
        Users.
    n_examples : int, (int, int) or "unequal"
        Examples of each user: the same number, uniform between two, or log-normal with a heavy
        tail (median 10, mean about 20).
    rm_accuracy, policy_accuracy, rouge1 : float
        Centre of the methods' true values, as a share in (0, 1).
    correlation : float
        Correlation over methods of the probits of true RM accuracy and true policy accuracy.
    generation_correlation : float
        Correlation over methods of the probits of true RM accuracy and true ROUGE-1.
    spread : float
        Standard deviation over methods, in probits, of all three true values.
    generation_spread : float, optional
        Spread of ROUGE-1 where it differs; 0 makes all methods write equally well.
    method_effects : {"normal", "t3", "skewed", "clusters"}
        Shape of the distribution of methods: normal, Student's t with 3 degrees of freedom,
        shifted exponential, or two clusters.
    user_sd, example_sd : float
        Effects of users and of examples, shared by all methods (which are therefore paired).
    user_method_sd : float
        Effect of a user on one method.
    seed_sd : float
        Effect of a training seed; only where there are seeds.
    example_correlation : float
        Correlation, within a method, between ranking a pair right and writing that user's text
        well (of the latent variables).
    base_likelihood : float
        Accuracy of the base model's own likelihood.
    weight : float
        Reward weight w at which the planted policy accuracy holds.
    scoring : {"sequence", "stored"}
        Whether policy accuracy is planted in log-probability plus w times reward, or in a
        ``policy_score`` of its own, which makes every combination of accuracies attainable.
    ties : float
        Share of pairs with equal rewards.
    missing : int or float
        Combinations of model and method that are absent: a number, or a share below 1.
    icl_advantage : float
        How much the probit ROUGE-1 of in-context methods gains on that of guided ones for
        tenfold the parameters.
    icl_crossover : float
        Parameter count at which in-context and guided methods write equally well.
    model_gain : float
        Gain in probit ROUGE-1 of every method for tenfold the parameters.
    texts : bool
        Write toy prompts, references, candidates and generations; ROUGE is then left to be
        computed from them and has the planted mean.
    tokens : int
        Longest response for which ``token_logprob`` and ``reward_trace`` are written; 0 leaves
        them out.

    Raises
    ------
    InputError
        With every option that is out of range.

    Examples
    --------
    >>> StudyDesign(models=2).sizes
    {'0.5B': 500000000, '1.5B': 1500000000}
    >>> StudyDesign(spread=-1.0)
    Traceback (most recent call last):
    ...
    preflamp_stats.errors.InputError: variable spread: is -1.0; take 0 or more probits
    """

    n_methods: int = number_option(8, *_COUNT)
    n_icl: int = number_option(1, *_COUNT)
    models: int | Sequence[str] | Mapping[str, float] = 1
    n_seeds: int | None = number_option(None, *_COUNT)
    n_users: int = number_option(200, lambda n: n >= 1, "take at least 1", Integral)
    n_examples: int | tuple[int, int] | Literal["unequal"] = number_option(
        20, _is_number_of_examples, "take n >= 1, (low, high) or 'unequal'", object
    )
    rm_accuracy: float = number_option(0.65, *_SHARE)
    policy_accuracy: float = number_option(0.60, *_SHARE)
    rouge1: float = number_option(0.30, *_SHARE)
    correlation: float = number_option(0.5, *_CORRELATION)
    generation_correlation: float = number_option(0.3, *_CORRELATION)
    spread: float = number_option(0.15, *_PROBITS)
    generation_spread: float | None = number_option(None, *_PROBITS)
    method_effects: MethodEffects = "normal"
    user_sd: float = number_option(0.3, *_LEAST_0)
    example_sd: float = number_option(0.4, *_LEAST_0)
    user_method_sd: float = number_option(0.1, *_LEAST_0)
    seed_sd: float = number_option(0.05, *_LEAST_0)
    example_correlation: float = number_option(0.0, *_CORRELATION)
    base_likelihood: float = number_option(0.5, *_SHARE)
    weight: float = number_option(1.0, lambda w: 0 < w < math.inf, "take a positive, finite weight")
    scoring: PlantedScoring = "sequence"
    ties: float = number_option(0.0, lambda share: 0 <= share <= 1, "take a share from 0 to 1")
    missing: int | float = 0
    icl_advantage: float = 0.3
    icl_crossover: float = number_option(3e9, lambda n: n > 0, "take a positive parameter count")
    model_gain: float = 0.15
    texts: bool = False
    tokens: int = number_option(
        0, lambda n: n >= 0, "take 0 (none) or the longest response", Integral
    )

    def __post_init__(self) -> None:
        problems = [*option_problems(self), *self._model_problems()]
        if problems:
            raise InputError(problems)
        n_cells = (self.n_methods + self.n_icl) * len(self.sizes)
        if n_cells < 1:
            problems.append(Problem("there is no method", "raise n_methods or n_icl"))
        elif not 0 <= self.n_missing < n_cells:
            what = f"is {self.missing!r}, of {n_cells} combinations of model and method"
            problems.append(Problem(what, "leave at least one", variable="missing"))
        if self.noise_variance < 0:
            what = "the squares of user_sd, example_sd, user_method_sd, seed_sd add up to "
            what += f"{1 - self.noise_variance:.3g}"
            problems.append(Problem(what, "lower them: they share a unit variance"))
        if problems:
            raise InputError(problems)

    def _model_problems(self) -> list[Problem]:
        if isinstance(self.models, int):
            allowed = len(_DEFAULT_MODELS)
            if 1 <= self.models <= allowed:
                return []
            return [Problem(f"is {self.models}", f"take 1 to {allowed}", variable="models")]
        if not self.models or len(set(self.models)) < len(self.models):
            return [Problem("is empty or repeats a label", "name each once", variable="models")]
        if isinstance(self.models, Mapping):
            unsized = [label for label, size in self.models.items() if not size >= 1]
        else:
            unsized = [label for label in self.models if not _SIZE.search(label)]
        mend = "write it as '1.5B' or '350M', or give a mapping of label to parameter count"
        whats = (f"has {label!r}, whose size is unknown" for label in unsized)
        return [Problem(what, mend, variable="models") for what in whats]

    @property
    def sizes(self) -> dict[str, int]:
        """Parameter count of each base model, by label."""
        if isinstance(self.models, Mapping):
            return {label: round(size) for label, size in self.models.items()}
        labels = _DEFAULT_MODELS[: self.models] if isinstance(self.models, int) else self.models
        units = {"M": 1e6, "B": 1e9}
        found = [(label, size) for label in labels if (size := _SIZE.search(label))]
        return {label: round(float(size[1]) * units[size[2].upper()]) for label, size in found}

    @property
    def noise_variance(self) -> float:
        """Share of the unit latent variance that no named effect takes."""
        seed_sd = self.seed_sd if self.n_seeds else 0.0
        effects = (self.user_sd, self.example_sd, self.user_method_sd, seed_sd)
        return 1 - math.fsum(sd**2 for sd in effects)

    @property
    def n_missing(self) -> int:
        """Absent combinations of model and method."""
        if 0 < self.missing < 1:
            return round(self.missing * (self.n_methods + self.n_icl) * len(self.sizes))
        return round(self.missing)

    @property
    def bytes(self) -> int:
        """Bytes of a study's numbers and texts, about; making it takes at least twice as much."""
        if isinstance(self.n_examples, tuple):
            of_user = sum(self.n_examples) / 2
        else:
            of_user = _UNEQUAL_MEAN if self.n_examples == "unequal" else float(self.n_examples)
        rewards = self.n_methods * (self.n_seeds or 1)
        generations = (self.n_methods + self.n_icl) * (self.n_seeds or 1)
        generated = _TEXT_BYTES if self.texts else 3 * 4
        of_pair = 2 * 4 * (rewards + (rewards + 1) * self.tokens) + generated * generations
        return round(self.n_users * of_user * len(self.sizes) * of_pair)

    def as_json(self) -> str:
        """Every option as JSON, for the attributes of the file."""
        return json.dumps({**asdict(self), "models": self.sizes}, sort_keys=True)
