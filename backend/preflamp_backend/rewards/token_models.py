"""Reward models that are language models, token by token.

**GenARM:** an autoregressive reward model, r(x, y) = Σ_t log π_r(y_t given x, y_<t).

Trained from the base model on preference pairs by

    loss = −log σ(β_r [log π_r(y⁺ given x) − log π_r(y⁻ given x)]),

sums over response tokens, without a reference model; all users' pairs together. Decoding then takes
log π + w·log π_r for each token.

Source: Xu et al. 2024, "GenARM: Reward Guided Generation with Autoregressive Reward Model for
Test-time Alignment", arXiv 2410.08193.

**P-RLHF (P-DPO):** a language model that reads soft tokens of its user before the prompt.

The reward is the scaled log-ratio to the base model it was trained from,

    r_u(x, y) = β Σ_t [log π_θ(y_t given u, x, y_<t) − log π_ref(y_t given x, y_<t)],

where u stands for T soft tokens, looked up by user; whoever has none reads those of the generic
user. Model and soft tokens are trained on preference pairs by

    loss = α·DPO(user) + (1 − α)·DPO(generic user),   DPO(u) = −log σ(r_u(x, y⁺) − r_u(x, y⁻)).

All users start from one draw of word embeddings, so what sets a user apart was learnt.

Source: Li et al. 2024, "Personalized Language Modeling from Personalized Human Feedback", arXiv
2402.05133.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from preflamp_backend.data.examples import Example
from preflamp_backend.faults import fault
from preflamp_backend.files.tensors import read_tensors
from preflamp_backend.models import loading
from preflamp_backend.models.heads.head import EVERY_USER
from preflamp_backend.models.heads.soft_tokens import SoftTokens
from preflamp_backend.models.model import AutoregressiveReward, LanguageModel
from preflamp_backend.options import Check, above_zero, at_least, option
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.training.loop import TrainingOptions, held_out_fit, train
from preflamp_backend.training.token_pairs import (
    TokenTask,
    is_trained,
    pair_logprobs,
    parts_of,
    stored_logprobs,
)


@dataclass(frozen=True)
class _TokenOptions(TrainingOptions):
    """What both have: fewer and smaller steps, as all weights of a model are trained."""

    epochs: int = 5
    batch_size: int = 16
    learning_rate: float = 5e-5
    patience: int = 2

    def checks(self) -> tuple[Check, ...]:
        """All weights of a language model are trained."""
        good = self.optimizer == "adamw"
        return (("optimizer", good, "take adamw, as a language model is trained"),)


@dataclass(frozen=True)
class GenArmOptions(_TokenOptions):
    """How an autoregressive reward model is trained.

    Parameters
    ----------
    beta : float
        β_r, scale of the log-probabilities in the loss.
    epochs, batch_size, learning_rate, weight_decay, patience
        As for every reward model, with other defaults.
    """

    beta: float = above_zero(0.05)


def fit_genarm(task: TokenTask) -> None:
    """Train an autoregressive reward model and write its folder.

    It serves the method kind ``autoregressive``. A run that was stopped goes on from its last epoch
    and ends with the same bytes; one that is done is not run again.

    Raises
    ------
    InputError
        For a model that cannot be loaded, examples that cannot be used, or a full disk.
    """
    if is_trained(task.folder, task.key("genarm")):
        return
    network, model = loading.load_trainable(task.base)
    pairs, others = (task.encode(model, rows) for rows in (task.train, task.held_out))
    beta = task.options.beta

    def loss(rows: Tensor, generator: torch.Generator, progress: float) -> Tensor:
        return genarm_loss(pair_logprobs(model, [pairs[i] for i in rows.tolist()]), beta)

    def held_out_loss() -> float:
        return genarm_loss(stored_logprobs(model, others), beta).item()

    task.fit("genarm", network, loss, held_out_loss, len(pairs), parts_of(pairs))
    found = stored_logprobs(model, others)
    task.save("genarm", network, model, held_out_fit(beta * (found[:, 0] - found[:, 1])))


def genarm_loss(logprobs: Tensor, beta: float) -> Tensor:
    """Mean loss of pairs: (pairs, 2), chosen first."""
    return -logsigmoid(beta * (logprobs[:, 0] - logprobs[:, 1])).mean()


SOFT_TOKENS = "soft_tokens.safetensors"
"""File of the folder that holds the users' soft tokens, β, and the base model's identity."""


@dataclass(frozen=True)
class PRlhfOptions(_TokenOptions):
    """How a P-DPO model is trained.

    Parameters
    ----------
    tokens : int
        T, soft tokens a user.
    alpha : float
        α, share of the users' own loss; the rest is the generic user's.
    beta : float
        β, scale of the reward.
    soft_rate : float
        How far a step moves soft tokens, against the model's own weights: what tells users apart
        has to be found before the model has learnt the pairs by heart.
    epochs, batch_size, learning_rate, weight_decay, patience
        As for every reward model, with other defaults.
    """

    tokens: int = at_least(1, 10)
    alpha: float = option(0.5, lambda share: 0 <= share <= 1, "take a share from 0 to 1")
    beta: float = above_zero(0.1)
    soft_rate: float = above_zero(100.0)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Encoded pairs, whose they are, and what the reference model says of them."""

    encodings: list[Encoding]
    users: list[str]
    reference: Tensor


def fit_p_dpo(task: TokenTask) -> None:
    """Train a P-DPO model and write its folder, the soft tokens beside the weights.

    It serves the method kind ``p-dpo``. The base model is the reference too. Users of
    ``task.adapt`` get soft tokens of their own, fitted from the generic user's with the model as it
    then is. A run that was stopped goes on from its last epoch and ends with the same bytes; one
    that is done is not run again.

    Raises
    ------
    InputError
        For a model that cannot be loaded, examples that cannot be used, users to adapt to who were
        trained on already, or a full disk.
    """
    if is_trained(task.folder, task.key("p-dpo")):
        return
    network, model = loading.load_trainable(task.base)
    options = task.options

    def prepared(rows: Sequence[Example]) -> _Pairs:
        encodings = task.encode(model, rows, options.tokens)
        return _Pairs(encodings, [row.user for row in rows], stored_logprobs(model, encodings))

    pairs, others = prepared(task.train), prepared(task.held_out)
    new = prepared(task.adapt) if task.adapt else None
    seen = sorted({*pairs.users} - {EVERY_USER})
    if new and (both := sorted({*new.users} & {*seen, EVERY_USER})):
        raise fault(
            f"holds user {both[0]!r}, who is trained on already",
            "adapt to users who are not in the training data",
            variable="adapt",
        )
    words: Any = network.get_input_embeddings()
    soft = _start(words, [EVERY_USER, *seen], options, task.seed)
    soft.install(network)
    task.fit(
        "p-dpo",
        network,
        lambda rows, generator, progress: _loss(model, soft, pairs, rows, options),
        lambda: _held_out_loss(model, soft, others, options.beta),
        len(pairs.users),
        parts_of(pairs.encodings),
    )
    held_out = held_out_fit(_held_out_gaps(model, soft, others, options.beta))
    if new is not None:
        soft.remove(network)
        soft = _adapted(model, soft, new, options, task.seed)
    soft.remove(network)
    about = {
        "kind": "p-dpo",
        "users": list(soft.users),
        "beta": options.beta,
        "base": loading.identify(task.base)["weights"],
    }
    task.save("p-dpo", network, model, held_out, {SOFT_TOKENS: ({"soft": soft.soft}, about)})


def load_p_rlhf(source: loading.ModelSource, method: str) -> AutoregressiveReward:
    """Load what :func:`fit_p_dpo` wrote.

    Raises
    ------
    InputError
        For a folder without a model or without soft tokens.
    """
    soft, about = _read_soft_tokens(source)
    model = loading.load_language_model(source)
    words: Any = model.backbone.network.get_input_embeddings()
    tokens = SoftTokens(words, soft, about["users"])
    tokens.requires_grad_(False).install(model.backbone.network)
    return AutoregressiveReward(
        method, model, relative=True, scale=float(about["beta"]), soft=tokens
    )


def check_base(source: loading.ModelSource, base: loading.ModelSource, method: str) -> None:
    """Refuse a base model that is not the one a P-DPO model was trained from.

    Raises
    ------
    InputError
        For another base model, or a folder without soft tokens.
    """
    if _read_soft_tokens(source)[1]["base"] != loading.identify(base)["weights"]:
        raise fault(
            f"the reward of {method!r} is relative to another base model than {base.path}",
            "put {model} into its path and train it from each base model",
            variable=source.path,
        )


def _read_soft_tokens(source: loading.ModelSource) -> tuple[Tensor, dict[str, Any]]:
    tensors, about = read_tensors(Path(source.path) / SOFT_TOKENS)
    if about.get("kind") != "p-dpo" or "soft" not in tensors:
        raise fault("holds no soft tokens of users", "train the model by p-dpo", source.path)
    return tensors["soft"], about


def _start(
    words: torch.nn.Embedding, users: Sequence[str], options: PRlhfOptions, seed: int
) -> SoftTokens:
    """Soft tokens of all users from one draw of word embeddings."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(words.num_embeddings, (options.tokens,), generator=generator)
    drawn = words.weight.detach()[rows.to(words.weight.device)]
    rows_of_users = drawn.expand(len(users), -1, -1)
    return SoftTokens(words, rows_of_users, users, rate=options.soft_rate)


def _gaps(
    model: LanguageModel, prefixes: Sequence[tuple[int, ...]], pairs: _Pairs, rows: Sequence[int]
) -> Tensor:
    """Reward of chosen over rejected before β, (rows,), with gradients."""
    read = [
        Encoding((*prefix, *pairs.encodings[row].prompt), pairs.encodings[row].continuations)
        for prefix, row in zip(prefixes, rows, strict=True)
    ]
    ratios = pair_logprobs(model, read)
    ratios = ratios - pairs.reference[list(rows)].to(ratios.device)
    return ratios[:, 0] - ratios[:, 1]


def _loss(
    model: LanguageModel, soft: SoftTokens, pairs: _Pairs, rows: Tensor, options: PRlhfOptions
) -> Tensor:
    """Mean of α·DPO(user) + (1 − α)·DPO(generic user)."""
    at = rows.tolist()
    own = [soft.prefix(pairs.users[row]) for row in at]
    generic = [soft.prefix(EVERY_USER)] * len(at)
    gaps = _gaps(model, [*own, *generic], pairs, [*at, *at])
    losses = -logsigmoid(options.beta * gaps).view(2, -1).mean(-1)
    return options.alpha * losses[0] + (1 - options.alpha) * losses[1]


def _held_out_loss(model: LanguageModel, soft: SoftTokens, pairs: _Pairs, beta: float) -> float:
    """Mean DPO loss of pairs under their own users' soft tokens."""
    return -logsigmoid(_held_out_gaps(model, soft, pairs, beta)).mean().item()


@torch.no_grad()
def _held_out_gaps(model: LanguageModel, soft: SoftTokens, pairs: _Pairs, beta: float) -> Tensor:
    """Reward of chosen over rejected under their own users' soft tokens, (pairs,)."""
    read = [
        Encoding((*soft.prefix(user), *each.prompt), each.continuations)
        for user, each in zip(pairs.users, pairs.encodings, strict=True)
    ]
    ratios = stored_logprobs(model, read) - pairs.reference
    return beta * (ratios[:, 0] - ratios[:, 1])


def _adapted(
    model: LanguageModel, soft: SoftTokens, pairs: _Pairs, options: PRlhfOptions, seed: int
) -> SoftTokens:
    """Add soft tokens of new users, fitted with everything else as it is."""
    network = model.backbone.network.requires_grad_(False)
    new = sorted({*pairs.users})
    generic = soft.soft.detach()[soft.users.index(EVERY_USER)]
    rows = torch.cat([generic[None], generic.expand(len(new), -1, -1)])
    fitted = SoftTokens(soft.words, rows, [EVERY_USER, *new], rate=options.soft_rate)
    fitted.words.requires_grad_(False)
    fitted.install(network)
    own = replace(options, alpha=1.0)
    # Nothing is held out of a few pairs: what stops the fit is its length.
    train(
        fitted,
        lambda at, generator, progress: _loss(model, fitted, pairs, at, own),
        lambda: _held_out_loss(model, fitted, pairs, options.beta),
        len(pairs.users),
        options,
        seed=seed,
        parts=parts_of(pairs.encodings),
    )
    joined = torch.cat([soft.soft.detach(), fitted.soft.detach()[1:]])
    return SoftTokens(soft.words, joined, [*soft.users, *new])
