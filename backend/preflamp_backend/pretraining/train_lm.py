"""From texts to a model's folder: tokenizer, shape, training, held-out loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import nn
from transformers import Qwen2ForCausalLM

from preflamp_backend.faults import fault
from preflamp_backend.files.text import write_text
from preflamp_backend.models.sources import ModelSource, load_tokenizer
from preflamp_backend.pretraining.documents import encode_documents, read_documents, split_documents
from preflamp_backend.pretraining.shape import model_config, parse_size, train_tokenizer
from preflamp_backend.pretraining.training import (
    Losses,
    Report,
    TrainingOptions,
    evaluate,
    fingerprint,
    train,
)

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
