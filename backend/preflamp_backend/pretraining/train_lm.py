"""A language model from scratch: tokenizer, shape, training with checkpoints, held-out loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from tokenizers import pre_tokenizers
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from preflamp_backend.faults import fault
from preflamp_backend.files.tensors import read_tensors, write_tensors
from preflamp_backend.files.text import json_object, write_text
from preflamp_backend.models.loading import ModelSource, load_tokenizer
from preflamp_backend.models.repeatable import repeatable
from preflamp_backend.options import Options, above_zero, at_least, option
from preflamp_backend.pretraining.documents import (
    Row,
    encode_documents,
    read_documents,
    split_documents,
)
from preflamp_backend.training.loop import restore, snapshot

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
        mend = "take at least 257: all bytes and an end"
        raise fault(f"is {vocabulary}", mend, variable="vocabulary")
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
    record = json_object(path)
    if record.get("training") != key:
        return None
    known = {each.name: record[each.name] for each in fields(Trained)}
    return Trained(**{**known, "held_out": Losses(**record["held_out"])})


Report = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How a model is trained.

    Parameters
    ----------
    epochs : int
        Passes over the documents.
    batch_tokens : int
        Tokens a step, padding among them.
    learning_rate : float, optional
        Peak of AdamW's; by default 0.003 · √(128 / width), not above 0.005.
    warm_up : float
        Share of the steps in which the rate rises; it falls as a cosine afterwards.
    weight_decay : float
        Of matrices.
    prompt_weight : float
        Weight of a prompt's token in the loss, where a response's has 1: 1 learns all text alike, 0
        responses only.
    seed : int
        Of the initial weights and of the order of documents.
    save_every : int
        Steps between checkpoints.
    """

    epochs: int = at_least(1, 4)
    batch_tokens: int = at_least(2, 8192)
    learning_rate: float | None = above_zero(None)
    warm_up: float = option(0.05, lambda share: 0 <= share < 1, "take a share from 0 to below 1")
    weight_decay: float = at_least(0, 0.1)
    prompt_weight: float = option(1.0, lambda weight: 0 <= weight <= 1, "take 0 to 1")
    seed: int = at_least(0, 0)
    save_every: int = at_least(1, 200)


@dataclass(frozen=True)
class Losses:
    """Mean negative log-probability of a token, in nats.

    Attributes
    ----------
    all : float
        Over all tokens but the first of a row.
    responses : float
        Over the tokens of responses; the same where documents have no prompts.
    """

    all: float
    responses: float


def train(
    model: Qwen2ForCausalLM,
    rows: Sequence[Row],
    options: TrainingOptions,
    checkpoint: Path,
    *,
    report: Report | None = None,
) -> int:
    """Train a model in place.

    Stopped at any moment, it goes on from the last checkpoint, to the same weights to the bit at
    the same number of threads.

    Parameters
    ----------
    model : Qwen2ForCausalLM
        With its initial weights.
    rows : sequence of Row
    options : TrainingOptions
    checkpoint : path
        Safetensors file, written every ``save_every`` steps and removed by the caller once the
        model is saved.
    report : callable, optional
        Told of each step: its number, their total, the loss.

    Returns
    -------
    int
        Steps.

    Raises
    ------
    InputError
        If the checkpoint belongs to another training.
    """
    steps = [batch for epoch in range(options.epochs) for batch in batches(rows, options, epoch)]
    optimizer = _optimizer(model, options)
    key = fingerprint(model, rows, options)
    done = _resume(checkpoint, model, optimizer, key)
    model.train()
    peak = options.learning_rate or min(0.005, 0.003 * (128 / model.config.hidden_size) ** 0.5)
    with repeatable(model.device):
        for number in range(done, len(steps)):
            for group in optimizer.param_groups:
                group["lr"] = peak * _schedule(number, len(steps), options.warm_up)
            loss = _loss(model, [rows[i] for i in steps[number]], options.prompt_weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if (number + 1) % options.save_every == 0 and number + 1 < len(steps):
                about = {"step": number + 1, "training": key}
                write_tensors(checkpoint, snapshot(model, optimizer), about)
            if report:
                report(number + 1, len(steps), loss.item())
    model.eval()
    return len(steps)


@torch.inference_mode()
def evaluate(model: Qwen2ForCausalLM, rows: Sequence[Row], batch_tokens: int = 8192) -> Losses:
    """Loss of a model on rows that it was not trained on.

    Returns
    -------
    Losses
    """
    model.eval()
    sums = np.zeros((2, 2))
    options = TrainingOptions(batch_tokens=batch_tokens)
    for batch in batches(rows, options, 0):
        ids, weights, answers = _padded([rows[i] for i in batch], 1.0, model.device)
        loss = _token_losses(model, ids) * weights
        for row, each in enumerate((weights, weights * answers)):
            sums[row] += [(loss * (answers if row else 1)).sum().item(), each.sum().item()]
    return Losses(*(float(total / max(1.0, count)) for total, count in sums))


def batches(rows: Sequence[Row], options: TrainingOptions, epoch: int) -> Iterator[list[int]]:
    """Cut an epoch into steps, of rows of about one length, in an order of its own.

    Yields
    ------
    list of int
        Numbers of rows; each row comes once.
    """
    rng = np.random.default_rng([options.seed, epoch])
    jitter = rng.permutation(len(rows)).tolist()
    found: list[list[int]] = []
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (len(rows[i]), jitter[i])):
        if batch and (len(batch) + 1) * len(rows[i]) > options.batch_tokens:
            found.append(batch)
            batch = []
        batch.append(i)
    if batch:
        found.append(batch)
    for number in rng.permutation(len(found)).tolist():
        yield found[number]


def _padded(
    rows: Sequence[Row], prompt_weight: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids padded on the right, weight of each predicted token, and whether it is a response's."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), np.int64)
    weights = np.zeros((len(rows), longest), np.float32)
    answers = np.zeros((len(rows), longest), np.float32)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row.ids
        answers[at, : len(row)] = row.in_response
        weights[at, : len(row)] = np.where(row.in_response, 1.0, prompt_weight)
    moved = [torch.from_numpy(each).to(device) for each in (ids, weights[:, 1:], answers[:, 1:])]
    return moved[0], moved[1], moved[2]


def _token_losses(model: Qwen2ForCausalLM, ids: Tensor) -> Tensor:
    # Padding stands on the right, and a causal model does not look there: no mask is needed.
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    flat = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
    )
    return flat.view(ids.shape[0], -1)


def _loss(model: Qwen2ForCausalLM, rows: Sequence[Row], prompt_weight: float) -> Tensor:
    ids, weights, _ = _padded(rows, prompt_weight, model.device)
    return (_token_losses(model, ids) * weights).sum() / weights.sum().clamp(min=1e-6)


def _optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    matrices = [p for _, p in named if p.ndim > 1]
    others = [p for _, p in named if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))


def _schedule(step: int, total: int, warm_up: float) -> float:
    rising = max(1, round(warm_up * total))
    if step < rising:
        return (step + 1) / rising
    progress = (step - rising) / max(1, total - rising)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2


def fingerprint(model: Qwen2ForCausalLM, rows: Sequence[Row], options: TrainingOptions) -> str:
    """SHA-256 of all that makes the weights: shape, choices, ids.

    Returns
    -------
    str
    """
    choices = asdict(options)
    choices.pop("save_every")
    digest = sha256(json.dumps([model.config.to_dict(), choices], default=str).encode())
    for row in rows:
        digest.update(row.ids.tobytes())
        digest.update(row.in_response.tobytes())
    return digest.hexdigest()


def _resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, key: str) -> int:
    """Take a checkpoint up, and return its step; 0 where there is none."""
    if not path.exists():
        return 0
    tensors, about = read_tensors(path)
    if about.get("training") != key:
        mend = "remove it, or train with the texts and options it was made with"
        raise fault("is a checkpoint of another training", mend, path)
    restore(model, optimizer, tensors)
    return int(about["step"])
