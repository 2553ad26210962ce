"""The corpus of the study: papers of the ACL Anthology, or invented authors who have a style."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from preflamp_backend.data.checks import normalise
from preflamp_backend.data.lamp import TASKS
from preflamp_backend.data.titles import Paper, read_papers
from preflamp_backend.files.text import write_text

from preflamp_stats.errors import InputError, Problem

__all__ = ["documents", "invent_papers", "load_papers", "write_documents"]

PLACE = "acl_titles/papers.jsonl.gz"

_TOPICS = (
    "parsing", "translation", "summarisation", "dialogue", "tagging", "morphology", "sentiment",
    "retrieval", "coreference", "paraphrase", "entailment", "segmentation", "spelling", "humour",
)  # fmt: skip
_METHODS = (
    "kernels", "grammars", "embeddings", "trees", "automata", "rankers", "lattices", "mixtures",
    "templates", "graphs", "memories", "features",
)  # fmt: skip
_DATA = ("news", "letters", "tweets", "patents", "novels", "manuals", "reviews", "transcripts")
_STYLES = (
    "{Method} for {topic}",
    "Is {topic} solved? {Method} and {data}",
    "{Topic} with {method}: a study of {data}",
    "Towards better {topic} of {data}",
    "{Method} improve {topic}",
)


def load_papers(folder: Path, words: int) -> list[Paper]:
    """Read the public corpus.

    Raises
    ------
    InputError
        Where it is not there, saying where to get it.
    """
    path = folder / PLACE
    if not path.is_file():
        raise InputError(
            Problem(
                "no such file",
                "make it from the XML of the ACL Anthology, volumes 2016–2018 "
                "(https://github.com/acl-org/acl-anthology), as analyses/acl_titles/README.md "
                "says, and name its folder with --data; or run --size small, which invents authors",
                str(path),
            )
        )
    return read_papers(path, words=words)


def invent_papers(authors: int, papers: int, seed: int) -> list[Paper]:
    """Invent authors, each with a way of writing titles, and their papers.

    A title can be written from its abstract and the author's style; the style can be seen in the
    author's other titles.
    """
    rng = np.random.default_rng(seed)
    found = []
    for author in range(authors):
        style = _STYLES[author % len(_STYLES)]
        for at in range(papers):
            topic, method, data = (str(rng.choice(each)) for each in (_TOPICS, _METHODS, _DATA))
            title = style.format(
                topic=topic, Topic=topic.title(), method=method, Method=method.title(), data=data
            )
            number = int(rng.integers(2, 99))
            abstract = (
                f"We study {topic} with {method}. On {number} {data} of kind {author}{at} we see "
                f"that {method} help."
            )
            name = f"S{author:03d}-{at:02d}"
            date = f"{2000 + at}-01"
            found.append(Paper(name, title, abstract, (f"Author {author:03d}",), date))
    return sorted(found, key=lambda paper: (paper.date, paper.id))


def documents(papers: Sequence[Paper], hidden: Collection[str]) -> list[list[tuple[str, str]]]:
    """Sequences of (prompt, title) to train base models on, the papers of one author together.

    A sequence shows several titles of one author, so that reading titles in context is worth
    learning. Each paper comes once, under the one of its authors who wrote the most.

    Parameters
    ----------
    papers : sequence of Paper
        By date.
    hidden : collection of str
        Normalised texts of what is held out: papers with one of them are left out.
    """
    shown = [
        paper
        for paper in papers
        if normalise(paper.abstract) not in hidden and normalise(paper.title) not in hidden
    ]
    written: dict[str, list[Paper]] = {}
    for paper in shown:
        for author in dict.fromkeys(paper.authors):
            written.setdefault(author, []).append(paper)
    taken: set[str] = set()
    found = []
    instruction = TASKS["LaMP_5"].instruction
    for _, mine in sorted(written.items(), key=lambda item: (-len(item[1]), item[0])):
        own = [paper for paper in mine if paper.id not in taken]
        taken.update(paper.id for paper in own)
        if own:
            found.append([(f"{instruction}{paper.abstract}\n", paper.title) for paper in own])
    return found


def write_documents(pairs: Sequence[Sequence[tuple[str, str]]], path: Path) -> None:
    """Write sequences as ``train-lm`` reads them."""
    lines = (json.dumps({"pairs": each}, ensure_ascii=False) for each in pairs)
    write_text(path, "".join(line + "\n" for line in lines))
