"""GenARM: an autoregressive reward model, r(x, y) = Σ_t log π_r(y_t given x, y_<t).

Trained from the base model on preference pairs by

    loss = −log σ(β_r [log π_r(y⁺ given x) − log π_r(y⁻ given x)]),

sums over response tokens, without a reference model; all users' pairs together. Decoding then takes
log π + w·log π_r for each token.

Source: Xu et al. 2024, "GenARM: Reward Guided Generation with Autoregressive Reward Model for
Test-time Alignment", arXiv 2410.08193.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preflamp_backend.data import Example
from preflamp_backend.models.loading import load_trainable
from preflamp_backend.models.sources import ModelSource
from preflamp_backend.options import Check, above_zero
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.prompts.in_context import PromptOptions
from preflamp_backend.training.loop import Report, TrainingOptions, train
from preflamp_backend.training.token_pairs import (
    encode_pairs,
    is_trained,
    key_of,
    pair_logprobs,
    save_folder,
    stored_logprobs,
)


@dataclass(frozen=True)
class GenArmOptions(TrainingOptions):
    """How an autoregressive reward model is trained.

    Parameters
    ----------
    beta : float
        β_r, scale of the log-probabilities in the loss.
    epochs, batch_size, learning_rate, weight_decay, patience
        As for every reward model; fewer and smaller, as all weights of a model are trained.
    """

    epochs: int = 5
    batch_size: int = 16
    learning_rate: float = 5e-5
    patience: int = 2
    beta: float = above_zero(0.05)

    def checks(self) -> tuple[Check, ...]:
        """All weights of a language model are trained."""
        good = self.optimizer == "adamw"
        return (("optimizer", good, "take adamw, as a language model is trained"),)


def fit_genarm(
    base: ModelSource,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    options: GenArmOptions,
    folder: str | Path,
    *,
    seed: int = 0,
    prompt: PromptOptions | None = None,
    form: PromptFormat | None = None,
    report: Report | None = None,
) -> None:
    """Train an autoregressive reward model and write its folder.

    A run that was stopped goes on from its last epoch and ends with the same bytes; one that is
    done is not run again.

    Parameters
    ----------
    base : ModelSource
        Model to start from; trained in float32 whatever its dtype.
    examples, held_out : sequence of Example
        With chosen and rejected; training stops by the held-out ones.
    options : GenArmOptions
    folder : path
        Written as transformers does, in safetensors; for the method kind ``autoregressive``.
    seed : int
        Of the order of pairs.
    prompt : PromptOptions, optional
    form : PromptFormat, optional
        How prompts are made and read; the same as when the model is used.
    report : callable, optional
        Told of each epoch.

    Raises
    ------
    InputError
        For a model that cannot be loaded, examples that cannot be used, or a full disk.
    """
    prompt, form, folder = prompt or PromptOptions(), form or PromptFormat(), Path(folder)
    data = {"train": examples, "held_out": held_out}
    key = key_of("genarm", base, data, options, prompt, form, seed)
    if is_trained(folder, key):
        return
    network, model = load_trainable(base)
    context = model.backbone.context
    pairs, others = (
        encode_pairs(model.tokenizer, rows, context=context, prompt=prompt, form=form)
        for rows in (examples, held_out)
    )

    def loss(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        return _loss(pair_logprobs(model, [pairs[i] for i in rows.tolist()]), options.beta)

    def held_out_loss() -> float:
        return _loss(stored_logprobs(model, others), options.beta).item()

    train(
        network,
        loss,
        held_out_loss,
        len(pairs),
        options,
        seed=seed,
        report=report,
        checkpoint=folder.with_name(f".{folder.name}.checkpoint.safetensors"),
        key=key,
    )
    about = {"kind": "genarm", "key": key, "seed": seed, "options": asdict(options)}
    save_folder(folder, network, model.tokenizer, about)


def _loss(logprobs: Tensor, beta: float) -> Tensor:
    """Mean loss of pairs: (pairs, 2), chosen first."""
    return -logsigmoid(beta * (logprobs[:, 0] - logprobs[:, 1])).mean()
