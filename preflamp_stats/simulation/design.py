"""The design of a simulated study: every option, checked once."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from preflamp_stats.errors import InputError, Problem

__all__ = ["MethodEffects", "StudyDesign"]

MethodEffects = Literal["normal", "t3", "skewed", "clusters"]
PlantedScoring = Literal["sequence", "stored"]

_DEFAULT_MODELS = ("0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B")
_UNEQUAL_MEAN = 20.0
_TEXT_BYTES = 4 * 146
"""Of the longest toy generation, as numpy keeps it."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([MB])", re.IGNORECASE)


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
        The same of true RM accuracy and true ROUGE-1.
    spread : float
        Standard deviation over methods, in probits, of all three.
    generation_spread : float, optional
        That of ROUGE-1 where it differs; 0 makes all methods write equally well.
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
        Parameter count at which the two are equal.
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

    n_methods: int = 8
    n_icl: int = 1
    models: int | Sequence[str] | Mapping[str, float] = 1
    n_seeds: int | None = None
    n_users: int = 200
    n_examples: int | tuple[int, int] | Literal["unequal"] = 20
    rm_accuracy: float = 0.65
    policy_accuracy: float = 0.60
    rouge1: float = 0.30
    correlation: float = 0.5
    generation_correlation: float = 0.3
    spread: float = 0.15
    generation_spread: float | None = None
    method_effects: MethodEffects = "normal"
    user_sd: float = 0.3
    example_sd: float = 0.4
    user_method_sd: float = 0.1
    seed_sd: float = 0.05
    example_correlation: float = 0.0
    base_likelihood: float = 0.5
    weight: float = 1.0
    scoring: PlantedScoring = "sequence"
    ties: float = 0.0
    missing: int | float = 0
    icl_advantage: float = 0.3
    icl_crossover: float = 3e9
    model_gain: float = 0.15
    texts: bool = False
    tokens: int = 0

    def __post_init__(self) -> None:
        shares = ("rm_accuracy", "policy_accuracy", "rouge1", "base_likelihood")
        correlations = ("correlation", "generation_correlation", "example_correlation")
        effects = ("user_sd", "example_sd", "user_method_sd", "seed_sd")
        checks = [
            *((name, 0 < getattr(self, name) < 1, "take a share in (0, 1)") for name in shares),
            *((name, abs(getattr(self, name)) <= 1, "take -1 to 1") for name in correlations),
            *((name, getattr(self, name) >= 0, "take 0 or more") for name in effects),
            ("n_methods", self.n_methods >= 0, "take 0 or more"),
            ("n_icl", self.n_icl >= 0, "take 0 or more"),
            ("n_seeds", (self.n_seeds or 0) >= 0, "take 0 or more"),
            ("n_users", self.n_users >= 1, "take at least 1"),
            ("spread", self.spread >= 0, "take 0 or more probits"),
            ("generation_spread", (self.generation_spread or 0) >= 0, "take 0 or more probits"),
            ("weight", 0 < self.weight < math.inf, "take a positive, finite weight"),
            ("ties", 0 <= self.ties <= 1, "take a share from 0 to 1"),
            ("icl_crossover", self.icl_crossover > 0, "take a positive parameter count"),
            ("tokens", self.tokens >= 0, "take 0 (none) or the longest response"),
            ("n_examples", self._examples_are_valid(), "take n >= 1, (low, high) or 'unequal'"),
            *(
                (name, getattr(self, name) in get_args(kind), f"choose {', '.join(get_args(kind))}")
                for name, kind in (("method_effects", MethodEffects), ("scoring", PlantedScoring))
            ),
        ]
        problems = [
            Problem(f"is {getattr(self, name)!r}", mend, variable=name)
            for name, good, mend in checks
            if not good
        ]
        if self.n_methods + self.n_icl < 1:
            problems.append(Problem("there is no method", "raise n_methods or n_icl"))
        if self.noise_variance < 0:
            problems.append(
                Problem(
                    f"the squares of {', '.join(effects)} add up to {1 - self.noise_variance:.3g}",
                    "lower them: they share a unit variance",
                )
            )
        problems += self._model_problems()
        if problems:
            raise InputError(problems)
        n_cells = (self.n_methods + self.n_icl) * len(self.sizes)
        if not 0 <= self.n_missing < n_cells:
            raise InputError(
                Problem(
                    f"is {self.missing!r}, of {n_cells} combinations of model and method",
                    "leave at least one",
                    variable="missing",
                )
            )

    def _examples_are_valid(self) -> bool:
        if isinstance(self.n_examples, str):
            return self.n_examples == "unequal"
        if isinstance(self.n_examples, int):
            return self.n_examples >= 1
        return len(self.n_examples) == 2 and 1 <= self.n_examples[0] <= self.n_examples[1]

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
        return [
            Problem(
                f"has {label!r}, whose size is unknown",
                "write it as '1.5B' or '350M', or give a mapping of label to parameter count",
                variable="models",
            )
            for label in unsized
        ]

    @property
    def sizes(self) -> dict[str, int]:
        """Parameter count of each base model, by label."""
        if isinstance(self.models, Mapping):
            return {label: round(size) for label, size in self.models.items()}
        labels = _DEFAULT_MODELS[: self.models] if isinstance(self.models, int) else self.models
        units = {"M": 1e6, "B": 1e9}
        found = {label: _SIZE.search(label) for label in labels}
        return {
            label: round(float(size[1]) * units[size[2].upper()])
            for label, size in found.items()
            if size is not None
        }

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
