"""What a language model is trained on: texts, or prompts with the responses that follow them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from preflamp_backend.faults import fault
from preflamp_backend.files.text import json_lines, text_lines

_FORMS = "name text or JSONL in UTF-8"
_MEND = 'write {"text": "…"} or {"pairs": [["prompt", "response"], …]}'


@dataclass(frozen=True)
class Document:
    """Text that belongs together, in order.

    Attributes
    ----------
    pairs : tuple of (str, str)
        Prompt and response, one pair after another; the end token follows each response. Plain text
        is a response to an empty prompt.
    """

    pairs: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(prompt + response for prompt, response in self.pairs)


@dataclass(frozen=True)
class Row:
    """A sequence of ids to train on.

    Attributes
    ----------
    ids : ndarray of int, (tokens,)
    in_response : ndarray of bool, (tokens,)
        Whether a token belongs to a response (or is its end).
    """

    ids: npt.NDArray[np.int64]
    in_response: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def read_documents(paths: Sequence[str | Path], field: str = "text") -> list[Document]:
    """Read documents from text files and JSONL, gzip-compressed or not.

    Parameters
    ----------
    paths : sequence of path
        In a text file, documents are parted by blank lines. A line of ``.jsonl`` is an object with
        the text in ``field``, or with ``pairs`` of prompt and response.
    field : str

    Returns
    -------
    list of Document

    Raises
    ------
    InputError
        For a file that cannot be read, or a line that holds no text.
    """
    documents: list[Document] = []
    for path in map(Path, paths):
        records = path.name.removesuffix(".gz").endswith(".jsonl")
        read = _records(path, field) if records else _blocks(path)
        found = [document for document in read if document.text.strip()]
        if not found:
            raise fault("holds no text", "give documents to train on", str(path))
        documents += found
    return documents


def split_documents(
    documents: Sequence[Document], share: float, seed: int
) -> tuple[list[Document], list[Document]]:
    """Draw the documents that are held out; equal texts stay on one side.

    Returns
    -------
    train, held_out : list of Document

    Raises
    ------
    InputError
        If nothing would be left to train on, or nothing held out.
    """
    texts = list(dict.fromkeys(document.pairs for document in documents))
    count = round(share * len(texts))
    if not 0 < count < len(texts):
        raise fault(
            f"{share:g} of {len(texts)} different documents leaves one side empty",
            "give more documents or another share",
            variable="--held-out",
        )
    drawn = np.random.default_rng(seed).permutation(len(texts))[:count]
    held_out = {texts[i] for i in drawn.tolist()}
    return (
        [document for document in documents if document.pairs not in held_out],
        [Document(pairs) for pairs in texts if pairs in held_out],
    )


def encode_documents(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, context: int
) -> list[Row]:
    """Turn documents into rows of at most ``context`` tokens.

    Prompts and responses are tokenised apart, as they are when responses are scored and written. As
    many pairs of a document as fit stand in one row; a pair that is longer than the context is cut
    into several.

    Returns
    -------
    list of Row
    """
    rows: list[Row] = []
    texts = list(dict.fromkeys(text for each in documents for pair in each.pairs for text in pair))
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    ids_of = dict(zip(texts, encoded, strict=True))
    end = [int(tokenizer.eos_token_id)]
    for document in documents:
        ids: list[int] = []
        flags: list[bool] = []
        for prompt, response in document.pairs:
            before, after = ids_of[prompt], ids_of[response] + end
            if ids and len(ids) + len(before) + len(after) > context:
                rows += _cut(ids, flags, context)
                ids, flags = [], []
            ids, flags = ids + before + after, flags + [False] * len(before) + [True] * len(after)
        rows += _cut(ids, flags, context)
    return rows


def _cut(ids: list[int], flags: list[bool], context: int) -> Iterator[Row]:
    for start in range(0, len(ids), context):
        part = slice(start, start + context)
        if len(ids[part]) > 1:
            yield Row(np.array(ids[part], np.int64), np.array(flags[part], np.bool_))


def _blocks(path: Path) -> Iterator[Document]:
    lines: list[str] = []
    for line in chain(text_lines(path, _FORMS), [""]):
        if line.strip():
            lines.append(line)
        elif lines:
            yield Document((("", "".join(lines).strip("\n")),))
            lines = []


def _records(path: Path, field: str) -> Iterator[Document]:
    for number, record in json_lines(path, _FORMS):
        if isinstance(record, dict) and isinstance(record.get(field), str):
            yield Document((("", record[field]),))
        elif isinstance(record, dict) and _are_pairs(record.get("pairs")):
            yield Document(tuple((prompt, response) for prompt, response in record["pairs"]))
        else:
            what = f"line {number} holds no text named {field!r} and no pairs"
            raise fault(what, _MEND, path)


def _are_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        for pair in value
    )
