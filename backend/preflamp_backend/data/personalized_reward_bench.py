"""Personalized RewardBench: questions of people, answers that meet their wishes and that do not.

Source: Ma et al. 2026, "Personalized RewardBench: Evaluating Reward Models with Human Aligned
Personalization", arXiv 2604.07343; the dataset's card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from preflamp_backend.data.examples import Example, HistoryItem
from preflamp_backend.data.people import examples_of
from preflamp_backend.data.rows import Faults

HUB = "QiyaoMa/Personalized-RewardBench"
TOPICS = ("Art_and_Entertainment", "Lifestyle_and_Personal_Development", "Society_and_Culture")
"""Name on the Hugging Face hub, and its configurations."""

ABOUT = {
    "kind": "Personalized RewardBench",
    "rejected": "an answer that was written to miss the asker's rubric",
    "labels": "by the rubric that was drawn from the asker's narrative",
    "users": "askers; each asks one question",
    "kept_out": "rubric_aspects and narrative: they are what the answers are judged by",
}


def personalized_examples(
    rows: Sequence[Mapping[str, Any]], faults: Faults | None = None
) -> list[Example]:
    """Turn rows into preference examples whose history is what their asker asked before.

    The narrative and the rubric go nowhere: with them a reward model would know what is measured.

    Parameters
    ----------
    rows : sequence of mapping
        ``id, question, profile`` (a list of mappings with ``text``)``, chosen, rejected``.
    faults : Faults, optional
        Where rows that cannot be used are noted.

    Returns
    -------
    list of Example
        The asker is named by the question's ``id``, as one asks one question.

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them.

    Examples
    --------
    >>> row = {"id": "q1", "question": "How?", "profile": [{"text": "Why?"}], "narrative": "n"}
    >>> [found] = personalized_examples([{**row, "chosen": "So.", "rejected": "No."}])
    >>> found.user, found.prompt, found.history[0].output, found.preference
    ('q1', 'How?', 'Why?', '')
    """

    def made(number: int, row: Mapping[str, Any]) -> Iterator[Example]:
        yield Example(
            id=str(row["id"]),
            user=str(row["id"]),
            prompt=row["question"],
            candidates={"chosen": row["chosen"], "rejected": row["rejected"]},
            history=tuple(HistoryItem("", item["text"]) for item in row["profile"]),
        )

    mend = "give id, question, profile (a list of {text}), chosen and rejected"
    return examples_of(rows, "row", _wrong, made, mend, faults)


def _wrong(row: Mapping[str, Any]) -> Iterator[str]:
    if not row.get("id"):
        yield "has no id"
    for key in ("question", "chosen", "rejected"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            yield f"has no {key}"
    profile = row.get("profile")
    if not isinstance(profile, list) or not all(
        isinstance(item, Mapping) and isinstance(item.get("text"), str) for item in profile
    ):
        yield "has a profile of another form"
