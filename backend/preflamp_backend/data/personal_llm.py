"""PersonalLLM: eight responses to a prompt, and people simulated as mixtures of reward models.

A person is a vector of weights over the reward models that scored every response, drawn from a
symmetric Dirichlet distribution; of two responses they choose the one whose weighted sum of
standardised rewards is higher.

Source: Zollo et al. 2025, "PersonalLLM: Tailoring LLMs to Individual Preferences", arXiv
2409.20296; the dataset's card and its authors' script for databases of interactions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from preflamp_backend.data.examples import Example
from preflamp_backend.data.people import examples_of
from preflamp_backend.data.rows import Faults
from preflamp_backend.faults import fault

HUB = ("namkoong-lab/PersonalLLM", "default")
"""Name and configuration on the Hugging Face hub."""

ABOUT = {
    "kind": "PersonalLLM",
    "rejected": "the other response of a pair",
    "labels": "simulated: mixtures of reward models; no person compared the responses",
    "users": "simulated",
}


def simulated_examples(
    rows: Sequence[Mapping[str, Any]],
    *,
    users: int = 100,
    pairs: int = 20,
    alpha: float = 0.1,
    seed: int = 0,
    faults: Faults | None = None,
) -> list[Example]:
    """Let simulated people compare pairs of responses.

    Parameters
    ----------
    rows : sequence of mapping
        ``prompt``, ``response_1``, …, and ``response_1_NAME`` with each reward model's number. Or,
        of a database of interactions, ``person_id`` and ``prompt_1``, ``response_1_a``,
        ``response_1_b``, ``chosen_1`` ("a" or "b"), …: people and pairs are then those of the rows.
    users, pairs : int
        People, and prompts that each of them sees.
    alpha : float
        Of the Dirichlet distribution: the smaller, the more each follows one reward model.
    seed : int
        Of the draw of people and pairs.
    faults : Faults, optional
        Where rows that cannot be used are noted.

    Returns
    -------
    list of Example
        A person's in the order of their pairs.

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them, or too few of them.
    """
    if rows and "person_id" in rows[0]:
        mend = "give person_id and prompt_1, response_1_a, response_1_b, chosen_1, …"
        return examples_of(rows, "row", _wrong_person, _interactions, mend, faults)
    models = sorted(
        key.removeprefix("response_1_")
        for key, value in (rows[0] if rows else {}).items()
        if key.startswith("response_1_") and isinstance(value, int | float)
    )
    if not models:
        mend = "give rows of PersonalLLM: prompt, response_1, response_1_gemma_2b, …"
        raise fault("has no column of a reward model's numbers", mend, variable="response_1_…")
    good: list[tuple[str, list[str], np.ndarray[Any, Any]]] = []

    def kept(number: int, row: Mapping[str, Any]) -> Iterator[Example]:
        places = _places(row)
        scores = [[row[f"response_{at}_{model}"] for model in models] for at in places]
        texts = [row[f"response_{at}"] for at in places]
        good.append((row["prompt"], texts, np.array(scores, float)))
        return iter(())

    mend = f"give prompt, two responses or more, and numbers of {', '.join(models)} for each"
    examples_of(rows, "row", lambda row: _wrong_row(row, models), kept, mend, faults)
    if len(good) < pairs:
        mend = "ask for fewer pairs, or give more rows"
        raise fault(f"{len(good)} prompts are fewer than a person compares", mend, variable="pairs")
    every = np.concatenate([scores for _, _, scores in good])
    mean, spread = every.mean(0), every.std(0)
    rng = np.random.default_rng(seed)
    examples = []
    for person, weights in enumerate(rng.dirichlet([alpha] * len(models), users)):
        for at in rng.choice(len(good), pairs, replace=False):
            prompt, texts, scores = good[at]
            standard = (scores - mean) / np.where(spread > 0, spread, 1.0)
            one, other = rng.choice(len(texts), 2, replace=False)
            value = standard @ weights
            if value[one] < value[other]:
                one, other = other, one
            # Neither is preferred: the person says nothing of this pair.
            if value[one] > value[other] and texts[one] != texts[other]:
                candidates = {"chosen": texts[one], "rejected": texts[other]}
                examples.append(Example(f"{person}/{at}", f"person {person}", prompt, candidates))
    return examples


def _places(row: Mapping[str, Any]) -> list[int]:
    return sorted(int(key[9:]) for key in row if re.fullmatch(r"response_\d+", key) and row[key])


def _wrong_row(row: Mapping[str, Any], models: Sequence[str]) -> Iterator[str]:
    if not isinstance(row.get("prompt"), str) or not row["prompt"].strip():
        yield "has no prompt"
    places = _places(row)
    if len(places) < 2:
        yield f"has {len(places)} responses"
    for at in places:
        for model in models:
            value = row.get(f"response_{at}_{model}")
            if not isinstance(value, int | float) or not np.isfinite(value):
                yield f"has no number of {model} for response {at}"


def _interactions(number: int, row: Mapping[str, Any]) -> Iterator[Example]:
    for at in count(1):
        if not row.get(f"prompt_{at}"):
            return
        said = {which: row[f"response_{at}_{which}"] for which in "ab"}
        chosen = row[f"chosen_{at}"]
        candidates = {"chosen": said.pop(chosen), "rejected": said.popitem()[1]}
        person = row["person_id"]
        yield Example(f"{person}/{at}", f"person {person}", row[f"prompt_{at}"], candidates)


def _wrong_person(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("person_id") is None:
        yield "has no person_id"
    if not row.get("prompt_1"):
        yield "has no prompt_1"
    for at in count(1):
        if not row.get(f"prompt_{at}"):
            return
        if row.get(f"chosen_{at}") not in ("a", "b"):
            yield f"has chosen_{at} {row.get(f'chosen_{at}')!r}"
        for which in "ab":
            if not row.get(f"response_{at}_{which}"):
                yield f"has no response_{at}_{which}"
