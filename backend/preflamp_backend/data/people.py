"""Choices that people made: TL;DR, the workers of summarize_from_feedback; PRISM, dialogues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Literal

from preflamp_backend.data.examples import Example
from preflamp_backend.data.rows import Faults

TLDR_HUB = ("openai/summarize_from_feedback", "comparisons")
PRISM_HUB = ("HannahKirk/prism-alignment", "conversations")
"""Name and configuration on the Hugging Face hub."""

Against = Literal["lowest", "each"]

AGAINST: Mapping[str, str] = {
    "lowest": "the candidate of the same turn with the lowest score",
    "each": "each candidate of the same turn that was not chosen",
}
"""What PRISM's chosen candidate is paired with, in words."""

_Row = Mapping[str, Any]


def comparison_examples(rows: Sequence[_Row], faults: Faults | None = None) -> list[Example]:
    """Turn comparisons into preference examples of the worker who made them.

    Parameters
    ----------
    rows : sequence of mapping
        ``info`` (``id``, and ``post`` or ``article``; ``subreddit``, ``title`` where there are
        any), ``summaries`` (two mappings with ``text``), ``choice`` (0 or 1), ``worker``.
    faults : Faults, optional
        Where rows that cannot be used are noted.

    Returns
    -------
    list of Example

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them.
    """

    def made(number: int, row: _Row) -> Iterator[Example]:
        texts = [str(summary["text"]).strip() for summary in row["summaries"]]
        choice = int(row["choice"])
        yield Example(
            id=f"{row['info'].get('id', '')} {number}".strip(),
            user=str(row["worker"]),
            prompt=_prompt(row["info"]),
            candidates={"chosen": texts[choice], "rejected": texts[1 - choice]},
        )

    mend = "give info, summaries[2].text, choice (0 or 1) and worker"
    return examples_of(rows, "row", _wrong_comparison, made, mend, faults)


def conversation_examples(
    rows: Sequence[_Row], *, against: Against = "lowest", faults: Faults | None = None
) -> list[Example]:
    """Turn conversations into preference examples, one a turn (or one a rejected candidate).

    The prompt is the dialogue so far: what the user said, and the candidates that they chose.

    Parameters
    ----------
    rows : sequence of mapping
        ``conversation_id``, ``user_id``, ``conversation_history``: messages with ``turn``, ``role``
        (``user`` or ``model``), ``content`` and, of models, ``if_chosen`` and ``score``.
    against : {"lowest", "each"}
    faults : Faults, optional
        Where conversations that cannot be used are noted.

    Returns
    -------
    list of Example
        ``id`` is ``conversation/turn``, and the candidate's place where there are several.

    Raises
    ------
    InputError
        For conversations that cannot be used, unless ``faults`` drops them.
    """
    mend = "give conversation_id, user_id and conversation_history as PRISM does"
    turns = lambda number, row: _turns(row, against)  # noqa: E731
    wrong = lambda row: _wrong_conversation(row, against)  # noqa: E731
    return examples_of(rows, "conversation", wrong, turns, mend, faults)


def examples_of(
    rows: Sequence[_Row],
    what: str,
    wrong: Callable[[_Row], Iterator[str]],
    made: Callable[[int, _Row], Iterable[Example]],
    mend: str,
    faults: Faults | None,
) -> list[Example]:
    """Make examples of rows, and note those that cannot be used.

    Parameters
    ----------
    rows : sequence of mapping
    what : str
        What a row is called.
    wrong : callable
        A row to reasons why it cannot be used.
    made : callable
        Number (from 1) and row to examples.
    mend : str
        What a row should be.
    faults : Faults, optional

    Raises
    ------
    InputError
        For rows that cannot be used, unless ``faults`` drops them.
    """
    faults = faults or Faults()
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        if reason := next(wrong(row), ""):
            faults.note(f"{what} {number}", reason, mend)
        else:
            examples += made(number, row)
    faults.check()
    return examples


def lengths_decide(examples: Sequence[Example], least: int = 10) -> float:
    """Share of users whose every choice is the longer (or every one the shorter) response.

    Near 1, the labels were made by a rule of length and are not people's.

    Parameters
    ----------
    examples : sequence of Example
    least : int
        Pairs of different length that a user needs to count.

    Returns
    -------
    float
        NaN where no user has so many.
    """
    longer: dict[str, list[bool]] = {}
    for example in examples:
        if {"chosen", "rejected"} <= set(example.candidates):
            chosen, rejected = (len(example.candidates[each]) for each in ("chosen", "rejected"))
            if chosen != rejected:
                longer.setdefault(example.user, []).append(chosen > rejected)
    counted = [each for each in longer.values() if len(each) >= least]
    return sum(len(set(each)) == 1 for each in counted) / len(counted) if counted else float("nan")


def _prompt(info: _Row) -> str:
    lines = [
        f"SUBREDDIT: r/{info['subreddit']}" if info.get("subreddit") else "",
        f"TITLE: {info['title']}" if info.get("title") else "",
        f"POST: {info.get('post') or info.get('article')}",
        "TL;DR:",
    ]
    return "\n".join(line for line in lines if line)


def _wrong_comparison(row: _Row) -> Iterator[str]:
    if not isinstance(row.get("info"), Mapping):
        yield "has no info"
    elif not (row["info"].get("post") or row["info"].get("article")):
        yield "has neither post nor article"
    summaries = row.get("summaries")
    if not isinstance(summaries, Sized) or len(summaries) != 2:
        yield "has not two summaries"
    elif not all(
        isinstance(each, Mapping) and str(each.get("text", "")).strip() for each in summaries
    ):
        yield "has a summary without text"
    elif str(summaries[0]["text"]).strip() == str(summaries[1]["text"]).strip():
        yield "has the same summary twice"
    if row.get("choice") not in (0, 1):
        yield f"has choice {row.get('choice')!r}"
    if not row.get("worker"):
        yield "names no worker"


def dialogue_of(example: Example) -> str:
    """Return the dialogue that an example of PRISM belongs to."""
    return example.id.split("/")[0]


def _turns(row: _Row, against: Against) -> Iterator[Example]:
    said = ""
    for turn, messages in _by_turn(row).items():
        asked = next(each for each in messages if each["role"] == "user")
        answers = [each for each in messages if each["role"] == "model"]
        chosen = next(each for each in answers if each.get("if_chosen"))
        said += f"User: {asked['content']}\nAssistant:"
        others = [each for each in answers if each["content"] != chosen["content"]]
        if against == "lowest" and len(others) > 1:
            others = [min(others, key=lambda each: float(each["score"]))]
        for place, other in enumerate(others):
            place_name = f"/{place}" if against == "each" else ""
            yield Example(
                id=f"{row['conversation_id']}/{turn}{place_name}",
                user=str(row["user_id"]),
                prompt=said,
                candidates={"chosen": chosen["content"], "rejected": other["content"]},
            )
        said += f" {chosen['content']}\n"


def _by_turn(row: _Row) -> dict[int, list[_Row]]:
    turns: dict[int, list[_Row]] = {}
    for message in row["conversation_history"]:
        turns.setdefault(int(message["turn"]), []).append(message)
    return dict(sorted(turns.items()))


def _wrong_conversation(row: _Row, against: Against) -> Iterator[str]:
    for key in ("conversation_id", "user_id"):
        if not row.get(key):
            yield f"has no {key}"
    history = row.get("conversation_history")
    if isinstance(history, str) or not isinstance(history, Sized) or not len(history):
        yield "has no conversation_history"
        return
    for message in history:
        if not isinstance(message, Mapping) or message.get("role") not in ("user", "model"):
            yield "has a message that is neither a user's nor a model's"
            return
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            yield "has a message without content"
        if not isinstance(message.get("turn"), int | float):
            yield "has a message without turn"
            return
    for turn, messages in _by_turn(row).items():
        roles = [each["role"] for each in messages]
        if roles.count("user") != 1:
            yield f"has {roles.count('user')} messages of the user in turn {turn}"
        chosen = sum(bool(each.get("if_chosen")) for each in messages if each["role"] == "model")
        if chosen != 1:
            yield f"has {chosen} chosen candidates in turn {turn}"
        answers = [each for each in messages if each["role"] == "model"]
        unscored = sum(not isinstance(each.get("score"), int | float) for each in answers)
        # Of two candidates the other one is the lowest, whatever it scored.
        if against == "lowest" and len(answers) > 2 and unscored:
            yield f"has {unscored} candidates without score in turn {turn}: which is lowest?"
