"""From texts to a model's folder: tokenizer, shape, training, held-out loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from preflamp_backend.faults import fault
from preflamp_backend.files.text import write_text
from preflamp_backend.models.sources import ModelSource, load_tokenizer
from preflamp_backend.pretraining.documents import encode_documents, read_documents, split_documents
from preflamp_backend.pretraining.training import (
    Losses,
    Report,
    TrainingOptions,
    evaluate,
    fingerprint,
    train,
)

END = "<|endoftext|>"
"""Ends a response, and pads."""

_HEAD_WIDTH = 32
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer of Qwen2's kind, which can write any text (in NFC).

    Parameters
    ----------
    texts : iterable of str
    vocabulary : int
        Tokens, the 256 bytes and the end token among them; fewer where the texts hold no more pairs
        to merge.

    Raises
    ------
    InputError
        For a vocabulary that cannot hold all bytes.
    """
    if vocabulary < 257:
        raise fault(
            f"is {vocabulary}", "take at least 257: all bytes and an end", variable="vocabulary"
        )
    # The class that loading a Qwen2 model gives: another would cut words in other places.
    trained = Qwen2Tokenizer(unk_token=END, eos_token=END, pad_token=END).train_new_from_iterator(
        texts,
        vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    assert isinstance(trained, Qwen2Tokenizer)
    return trained


def parse_size(size: str) -> int:
    """Return the number of parameters that a size such as ``0.3M`` names.

    Raises
    ------
    InputError
        For anything else.

    Examples
    --------
    >>> parse_size("0.3M"), parse_size("64k")
    (300000, 64000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMB]?)", size.strip().upper())
    if not found or float(found[1]) == 0:
        raise fault(f"is {size!r}", "write a size such as 300K, 1M or 0.1B", variable="size")
    return round(float(found[1]) * _UNITS[found[2]])


def model_config(parameters: int, *, vocabulary: int, context: int, end: int) -> Qwen2Config:
    """Choose the Qwen2 shape whose parameters come nearest to a number.

    Embeddings are tied. A width of about 40 a layer is preferred.

    Parameters
    ----------
    parameters : int
        In all, embeddings among them.
    vocabulary : int
        Tokens of the tokenizer.
    context : int
        Tokens that the model can see.
    end : int
        Id of the end token.

    Raises
    ------
    InputError
        If the embeddings alone are far more than the parameters.
    """
    shapes = [(layers, width) for layers in range(2, 49) for width in range(32, 8193, 32)]

    def misfit(shape: tuple[int, int]) -> float:
        layers, width = shape
        size = math.log(_parameters(layers, width, vocabulary) / parameters)
        return abs(size) + 0.2 * abs(math.log(width / layers / 40))

    layers, width = min(shapes, key=misfit)
    got = _parameters(layers, width, vocabulary)
    if not 0.6 * parameters < got < 1.6 * parameters:
        raise fault(
            f"has no shape near it with a vocabulary of {vocabulary} (nearest: {got:,})",
            "take a larger model or a smaller vocabulary",
            variable="size",
        )
    heads = width // _HEAD_WIDTH
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=_inner(width),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )


def _inner(width: int) -> int:
    """Width inside the feed-forward part: 8/3 of the model's, which keeps gates at 8 width²."""
    return round(8 * width / 3 / 16) * 16


def _parameters(layers: int, width: int, vocabulary: int) -> int:
    attention = 4 * width * width + 3 * width
    return vocabulary * width + layers * (attention + 3 * width * _inner(width) + 2 * width) + width


RECORD = "training.json"


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes
    ----------
    parameters : int
    layers, width : int
    steps : int
    tokens : int
        Of the documents trained on, in one pass.
    held_out : Losses
    held_out_tokens : int
    """

    parameters: int
    layers: int
    width: int
    steps: int
    tokens: int
    held_out: Losses
    held_out_tokens: int


def train_lm(
    texts: Sequence[str | Path],
    out: str | Path,
    *,
    size: str = "1M",
    field: str = "text",
    tokenizer: str = "",
    vocabulary: int = 4096,
    context: int = 1024,
    held_out: float = 0.05,
    device: str = "auto",
    options: TrainingOptions | None = None,
    report: Report | None = None,
) -> Trained:
    """Train a Qwen2-shaped language model from scratch and write its folder.

    Parameters
    ----------
    texts : sequence of path
        As :func:`preflamp_backend.pretraining.documents.read_documents` reads them.
    out : path
        Folder for ``config.json``, ``model.safetensors``, the tokenizer and ``training.json``.
    size : str
        Parameters, such as ``1M``; the nearest shape is taken.
    field : str
        Key of the text in JSONL.
    tokenizer : str
        Folder of a tokenizer to share; a new one is trained where empty.
    vocabulary : int
        Tokens of a new tokenizer.
    context : int
        Longest sequence.
    held_out : float
        Share of documents that are not trained on and give the loss.
    device : str
    options : TrainingOptions, optional
    report : callable, optional
        Told of each step: its number, their total, the loss.

    Returns
    -------
    Trained
        Also written to ``training.json``. A folder that holds the same training already is read,
        not trained anew; one with a checkpoint goes on from it.

    Raises
    ------
    InputError
        For texts, sizes or folders that cannot be used.
    """
    options = options or TrainingOptions()
    folder = Path(out)
    documents, aside = split_documents(read_documents(texts, field), held_out, options.seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fault(f"cannot be made ({error})", "name another folder", str(folder)) from error
    if tokenizer:
        words = load_tokenizer(ModelSource(tokenizer))
    else:
        words = train_tokenizer((document.text for document in documents), vocabulary)
    if words.eos_token_id is None:
        raise fault("has no end token", "take one that has", str(tokenizer), variable="tokenizer")
    rows = encode_documents(documents, words, context)
    other_rows = encode_documents(aside, words, context)
    config = model_config(
        parse_size(size), vocabulary=len(words), context=context, end=int(words.eos_token_id)
    )
    torch.manual_seed(options.seed)
    model = Qwen2ForCausalLM(config)
    nn.Module.to(model, ModelSource("", device=device).resolved_device())
    key = fingerprint(model, rows, options)
    if (earlier := _read_record(folder / RECORD, key)) is not None:
        return earlier
    checkpoint = folder / "checkpoint.safetensors"
    steps = train(model, rows, options, checkpoint, report=report)
    found = Trained(
        parameters=model.num_parameters(),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        steps=steps,
        tokens=sum(map(len, rows)),
        held_out=evaluate(model, other_rows, options.batch_tokens),
        held_out_tokens=sum(map(len, other_rows)),
    )
    words.save_pretrained(folder)
    model.save_pretrained(folder)
    record = {**asdict(found), "options": asdict(options), "training": key}
    # Written last: a folder with this record is whole.
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
    checkpoint.unlink(missing_ok=True)
    return found


def _read_record(path: Path, key: str) -> Trained | None:
    """Return what an earlier training found, if it was the same one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("training") != key:
        return None
    known = {each.name: record[each.name] for each in fields(Trained)}
    return Trained(**{**known, "held_out": Losses(**record["held_out"])})
