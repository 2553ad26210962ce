"""Preference pairs as a language model reads them: log-probabilities with gradients, and a folder.

What reward models that are language models have in common: pairs as ids, the log-probabilities of
both responses from one pass over their prompt, and a transformers folder at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from preflamp_backend.data.examples import Example, content_hash
from preflamp_backend.faults import fault, in_example
from preflamp_backend.files.tensors import write_tensors
from preflamp_backend.files.text import json_hash, json_object
from preflamp_backend.models.loading import ModelSource, identify
from preflamp_backend.models.model import LanguageModel
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, counter_of, encode, fitting
from preflamp_backend.prompts.in_context import PromptOptions, build_prompt
from preflamp_backend.prompts.reading import reading_of
from preflamp_backend.scoring.forward import Batches, Forward, in_batches
from preflamp_backend.scoring.score import token_logprobs
from preflamp_backend.training.loop import Report, Training
from preflamp_stats.errors import InputError, Problem

RECORD = "reward_training.json"
"""File of a reward model's folder that says how it was trained."""


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    context: int,
    prompt: PromptOptions,
    form: PromptFormat,
    room: int = 0,
) -> list[Encoding]:
    """Ids of each example's prompt, chosen and rejected response.

    Raises
    ------
    InputError
        For no example, or one without a pair, with equal responses, or that cannot be encoded.
    """
    if not examples:
        raise fault("holds no pair", "give examples with chosen and rejected")

    count = counter_of(tokenizer)
    found: list[Encoding] = []
    problems: list[Problem | str] = []
    for example in examples:
        pair = [example.candidates.get(name, "") for name in ("chosen", "rejected")]
        try:
            with in_example(example.id):
                if not all(pair) or pair[0] == pair[1]:
                    mend = "leave it out of what reward models are trained on"
                    raise fault("has no two different responses", mend)
                limits = {"context": context, "room": room}
                fits = fitting(tokenizer, form, pair, **limits)
                text = build_prompt(example, prompt, count=count, fits=fits).text
                found.append(encode(tokenizer, text, pair, form, **limits))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems[:20])
    return found


_TOKENS_AT_ONCE = 512
"""Tokens of pairs of which activations are kept for a gradient: they outweigh the weights."""


def parts_of(pairs: Sequence[Encoding]) -> Callable[[Tensor], list[Tensor]]:
    """Cut rows of pairs into parts of similar length and few tokens, one pair at least."""

    def parts(rows: Tensor) -> list[Tensor]:
        sizes = [len(pairs[row]) for row in rows.tolist()]
        return [rows[batch] for batch in Batches(sizes, budget=_TOKENS_AT_ONCE)]

    return parts


def pair_logprobs(model: LanguageModel, pairs: Sequence[Encoding]) -> Tensor:
    """Log-probabilities of the two responses of each pair, nats, with gradients.

    Parameters
    ----------
    model : LanguageModel
    pairs : sequence of Encoding
        With two continuations each.

    Returns
    -------
    Tensor, (pairs, 2), float32
        Sums over response tokens.
    """
    forward = Forward(model.backbone, pairs, room=0)
    own, _, _ = token_logprobs(model, forward, 0)
    branch = torch.arange(2 * len(pairs), device=own.device)
    lengths = torch.tensor(forward.lengths, device=own.device)
    sums = own.new_zeros(2 * len(pairs)).index_add(0, branch.repeat_interleave(lengths), own)
    return sums.view(-1, 2)


@torch.no_grad()
def stored_logprobs(
    model: LanguageModel, pairs: Sequence[Encoding], batch_tokens: int = 8192
) -> Tensor:
    """As :func:`pair_logprobs` without gradients, in batches that fit the memory; on the CPU."""

    def run(batch: list[Encoding]) -> list[Tensor]:
        return list(pair_logprobs(model, batch).cpu())

    return torch.stack(in_batches(pairs, len, run, budget=batch_tokens))


@dataclass(frozen=True, eq=False)
class TokenTask(Training):
    """What a reward model that is a language model learns from, how, and where it is written.

    Attributes
    ----------
    base : ModelSource
        Model to start from; trained in float32 whatever its dtype.
    train, held_out : sequence of Example
        With chosen and rejected; training stops by the held-out ones.
    options : TrainingOptions
        Of the method's own class.
    folder : Path
        Written as transformers does, in safetensors.
    adapt : sequence of Example, optional
        Pairs of users who are not among ``train``; None for methods that take up nobody.
    seed : int
        Of the order of pairs, and of whatever else is drawn.
    prompt : PromptOptions
    form : PromptFormat
        How prompts are made and read; the same as when the model is used.
    report : callable, optional
        Told of each epoch.
    """

    base: ModelSource
    train: Sequence[Example]
    held_out: Sequence[Example]
    options: Any
    folder: Path
    adapt: Sequence[Example] | None = None
    seed: int = 0
    prompt: PromptOptions = field(default_factory=PromptOptions)
    form: PromptFormat = field(default_factory=PromptFormat)
    report: Report | None = None

    def key(self, kind: str) -> str:
        """SHA-256 of all that a reward model's weights depend on."""
        parts = {"train": self.train, "held_out": self.held_out, "adapt": self.adapt}
        choices = (self.options, self.prompt, self.form)
        ingredients = {
            "kind": kind,
            "base": identify(self.base),
            "examples": {
                name: content_hash(rows) for name, rows in parts.items() if rows is not None
            },
            "choices": [asdict(each) for each in choices],
            "seed": self.seed,
        }
        return json_hash(ingredients)

    def encode(
        self, model: LanguageModel, rows: Sequence[Example], room: int = 0
    ) -> list[Encoding]:
        """Pairs as ids, by :func:`encode_pairs`."""
        limits = {"context": model.backbone.context, "room": room}
        return encode_pairs(model.tokenizer, rows, prompt=self.prompt, form=self.form, **limits)

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept meanwhile: beside its folder."""
        return self.folder.with_name(f".{self.folder.name}.checkpoint.safetensors")

    def save(
        self,
        kind: str,
        network: PreTrainedModel,
        model: LanguageModel,
        held_out: Mapping[str, float],
        more: Mapping[str, tuple[Mapping[str, Tensor], Mapping[str, Any]]] | None = None,
    ) -> None:
        """Write the folder aside and move it into place; what is there is replaced.

        Parameters
        ----------
        kind : str
        network : PreTrainedModel
        model : LanguageModel
        held_out : mapping of str to float
            As :func:`preflamp_backend.training.loop.held_out_fit` gives it.
        more : mapping of str to (tensors, metadata), optional
            Further safetensors files, by name.

        Raises
        ------
        InputError
            If it cannot be written there.
        """
        record: dict[str, Any] = {"kind": kind, "key": self.key(kind), "seed": self.seed}
        record["reads"] = reading_of(self.base, identify(self.base), self.form, self.prompt)
        record["held_out"] = dict(held_out)
        text = json.dumps(record | {"options": asdict(self.options)}, indent=1, sort_keys=True)
        aside = self.folder.with_name(f".{self.folder.name}.partial")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            network.save_pretrained(aside)
            model.tokenizer.save_pretrained(aside)
            for name, (tensors, about) in (more or {}).items():
                write_tensors(aside / name, tensors, about)
            (aside / RECORD).write_text(text, encoding="utf-8")
            if self.folder.exists():
                shutil.rmtree(self.folder)
            aside.rename(self.folder)
        except OSError as error:
            mend = "check the space and the rights there"
            raise fault(f"cannot be written: {error}", mend, self.folder) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def is_trained(folder: Path, key: str) -> bool:
    """Whether a folder holds the reward model of a key, whole."""
    return json_object(folder / RECORD).get("key") == key
