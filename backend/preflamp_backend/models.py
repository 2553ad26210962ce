"""Models by hub name or local folder: base language models and the three kinds of reward model.

A model is a *backbone* (ids to hidden states) and a linear map on top. A language model's map gives
logits; a reward model's gives rewards. Reward heads that were trained on a base model's own hidden
states take that backbone as theirs, so any number of them costs one pass. An autoregressive reward
model is a language model whose log-probabilities are the reward.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from preflamp_backend.text import tokenizer_hash
from preflamp_backend.trees import SlotCache, chain_mask, pack
from preflamp_stats.errors import InputError, Problem

__all__ = [
    "AutoregressiveReward",
    "Backbone",
    "HeadReward",
    "LanguageModel",
    "ModelSource",
    "RewardModel",
    "load_heads",
    "load_language_model",
    "load_sequence_classifier",
    "save_head",
]

EVERY_USER = ""
"""Name of the row of a head that serves users without a row of their own."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from and how it is loaded.

    Parameters
    ----------
    path : str
        Name on the Hugging Face hub, or a folder.
    revision : str, optional
        Commit, tag or branch on the hub.
    dtype : {"float32", "bfloat16", "float16"}
    device : str
        Such as ``cpu`` or ``cuda:0``; ``auto`` takes a GPU where there is one.
    trust_remote_code : bool
        Run code that comes with the model. Off unless you ask for it.
    """

    path: str
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise InputError(
                Problem(
                    f"is {self.dtype!r}", f"choose one of {', '.join(_DTYPES)}", variable="dtype"
                )
            )

    def resolved_device(self) -> torch.device:
        """Return the device meant, refusing a GPU that is not there."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise InputError(
                Problem(
                    "asks for a GPU, and torch sees none", "set device = 'auto'", variable="device"
                )
            )
        return device


@dataclass(frozen=True, eq=False)
class Backbone:
    """A causal transformer without its head.

    Attributes
    ----------
    network : PreTrainedModel
        Ids to hidden states.
    tokenizer : PreTrainedTokenizerBase
    context : int
        Tokens that it can see.
    identity : mapping
        What makes its numbers: path, revision, hash of weights and tokenizer, dtype.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.network.device

    def hidden(
        self, ids: Tensor, positions: Tensor, mask: Tensor, cache: SlotCache | None = None
    ) -> Tensor:
        """Hidden states after the last layer.

        Parameters
        ----------
        ids, positions : Tensor, (rows, n), int64
        mask : Tensor, (rows, n, cached + n), bool
            What each token sees.
        cache : SlotCache, optional
            Read, and written behind its used slots.

        Returns
        -------
        Tensor, (rows, n, width)
        """
        output = self.network(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask[:, None],
            past_key_values=cache,
            use_cache=cache is not None,
        )
        states: Tensor = output.last_hidden_state
        return states

    def branch(self, cache: SlotCache, chains: Tensor, seen: Tensor, start: Tensor) -> Tensor:
        """Hidden states of chains of tokens hung off what the cache holds, side by side.

        Parameters
        ----------
        cache : SlotCache
            Keeps what was written only if told to.
        chains : Tensor, (rows, chains, length), int64
            Token ids.
        seen : Tensor, (rows, chains, cached), bool
            The cached slots that each chain continues.
        start : Tensor, (rows, chains), int64
            Position of each chain's first token.

        Returns
        -------
        Tensor, (rows, chains, length, width)
        """
        rows, count, length = chains.shape
        steps = torch.arange(length, device=chains.device)
        own = chain_mask(count, length, chains.device)
        mask = torch.cat(
            [
                seen.repeat_interleave(length, 1) if length > 1 else seen,
                own.expand(rows, -1, -1),
            ],
            -1,
        )
        positions = (start[:, :, None] + steps).flatten(1)
        hidden = self.hidden(chains.flatten(1), positions, mask, cache)
        return hidden.view(rows, count, length, -1)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model: a backbone and the map from hidden states to logits.

    Attributes
    ----------
    backbone : Backbone
    head : nn.Module
        (…, width) to (…, vocabulary).
    eos : tuple of int
        Ids that end a generation.
    parameters : int
        Parameter count.
    """

    backbone: Backbone
    head: nn.Module
    eos: tuple[int, ...]
    parameters: int

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the backbone."""
        return self.backbone.tokenizer

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits in float32, whatever the model's dtype: (…, width) to (…, vocabulary)."""
        logits: Tensor = self.head(hidden)
        return logits.float()


@dataclass(frozen=True, eq=False)
class HeadReward:
    """One or more linear reward heads on one backbone; one pass serves all methods and users.

    Attributes
    ----------
    backbone : Backbone
        The base model's own, or a reward model's.
    methods : tuple of str
    users : tuple of dict
        For each method, which row of its weight serves which user. A global head has the
        single row ``""``, which serves every user without a row.
    weights : tuple of Tensor
        For each method, (users, width), float32.
    biases : tuple of Tensor
        For each method, (users,), float32.
    """

    backbone: Backbone
    methods: tuple[str, ...]
    users: tuple[Mapping[str, int], ...]
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def for_users(self, users: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Heads of some users, as one matrix a user.

        Returns
        -------
        weight : Tensor, (users, width, methods)
        bias : Tensor, (users, 1, methods)

        Raises
        ------
        InputError
            For a user whom a method does not know and has no general head for.
        """
        weights, biases = [], []
        for method, known, weight, bias in zip(
            self.methods, self.users, self.weights, self.biases, strict=True
        ):
            rows = [known.get(user, known.get(EVERY_USER, -1)) for user in users]
            if -1 in rows:
                raise InputError(
                    Problem(
                        f"the reward model {method!r} has no head for user "
                        f"{users[rows.index(-1)]!r}",
                        "train one for this user, or a general one (with an empty user name)",
                        variable="user",
                    )
                )
            index = torch.tensor(rows, device=weight.device)
            weights.append(weight[index])
            biases.append(bias[index])
        return torch.stack(weights, -1), torch.stack(biases, -1)[:, None]

    def only(self, method: str) -> HeadReward:
        """Return the same backbone with one method's head."""
        at = self.methods.index(method)
        one = slice(at, at + 1)
        return HeadReward(
            self.backbone, self.methods[one], self.users[one], self.weights[one], self.biases[one]
        )


def apply_heads(hidden: Tensor, heads: tuple[Tensor, Tensor]) -> Tensor:
    """Rewards of hidden states in float32: (rows, n, width) to (rows, n, methods)."""
    weight, bias = heads
    return torch.baddbmm(bias, hidden.float(), weight)


@dataclass(frozen=True, eq=False)
class AutoregressiveReward:
    """A language model whose log-probabilities are the reward.

    Attributes
    ----------
    method : str
    model : LanguageModel
    relative : bool
        False: r = Σ log π_r(y_t) (GenARM). True: r = Σ [log π_r(y_t) − log π(y_t)], where π_r
        reads the user's preference in its prompt (PAD).
    """

    method: str
    model: LanguageModel
    relative: bool = False

    @property
    def backbone(self) -> Backbone:
        """Backbone of the language model."""
        return self.model.backbone

    @property
    def methods(self) -> tuple[str, ...]:
        """The one method."""
        return (self.method,)


RewardModel: TypeAlias = HeadReward | AutoregressiveReward


def load_language_model(source: ModelSource) -> LanguageModel:
    """Load a causal language model, from safetensors only.

    Raises
    ------
    InputError
        If it does not exist, holds no safetensors, or is not one that trees work with.
    """
    model, tokenizer = _load(AutoModelForCausalLM, source)
    head = model.get_output_embeddings()
    if head is None:
        raise _unfit(source, "has no language-model head")
    backbone = _backbone(model, tokenizer, source)
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = tokenizer.eos_token_id if ends is None else ends
    eos = () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)
    language_model = LanguageModel(backbone, head, eos, model.num_parameters())
    _check_tree(model, backbone, head, source)
    return language_model


def load_sequence_classifier(source: ModelSource, method: str) -> HeadReward:
    """Load a reward model of the ``AutoModelForSequenceClassification`` kind, safetensors only.

    Its head is read at the position that we name, never through the model's own pooling, which
    looks for padding by id and therefore misses a response's end where pad and end are one token.

    Raises
    ------
    InputError
        If it does not exist, has more than one label, or is not causal.
    """
    model, tokenizer = _load(AutoModelForSequenceClassification, source)
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear):
        raise _unfit(source, "has no linear head named 'score' over a causal backbone")
    if head.out_features != 1:
        raise _unfit(
            source, f"gives {head.out_features} numbers a response; a reward model gives one"
        )
    backbone = _backbone(model, tokenizer, source)
    _check_tree(model, backbone, head, source)
    weight = head.weight.detach().float()
    bias = torch.zeros(1, device=weight.device) if head.bias is None else head.bias.detach().float()
    return HeadReward(backbone, (method,), ({EVERY_USER: 0},), (weight,), (bias,))


def load_heads(backbone: Backbone, paths: Mapping[str, str | Path]) -> HeadReward:
    """Load reward heads that share a backbone.

    Parameters
    ----------
    backbone : Backbone
        On whose hidden states the heads were trained.
    paths : mapping of method to path
        Files as :func:`save_head` writes them.

    Raises
    ------
    InputError
        For a file that is missing, is no safetensors file, or does not fit the backbone.
    """
    users, weights, biases = [], [], []
    width = backbone.network.config.get_text_config().hidden_size
    for method, path in paths.items():
        known, weight, bias = _read_head(Path(path), method)
        if weight.shape[-1] != width:
            raise InputError(
                Problem(
                    f"holds a head of width {weight.shape[-1]} for {method!r}, not of {width}",
                    "name the head that was trained on this base model",
                    file=str(path),
                )
            )
        users.append(known)
        weights.append(weight.to(backbone.device))
        biases.append(bias.to(backbone.device))
    return HeadReward(backbone, tuple(paths), tuple(users), tuple(weights), tuple(biases))


def save_head(
    path: str | Path, weight: Tensor, bias: Tensor, users: Sequence[str] = (EVERY_USER,)
) -> None:
    """Write a reward head as a safetensors file.

    Parameters
    ----------
    path : path
    weight : Tensor, (users, width)
    bias : Tensor, (users,)
    users : sequence of str
        Whose rows they are; ``""`` is the row of everybody else.
    """
    from safetensors.torch import save_file

    tensors = {"weight": weight.float().contiguous(), "bias": bias.float().contiguous()}
    save_file(tensors, str(path), metadata={"users": json.dumps(list(users))})


def _read_head(path: Path, method: str) -> tuple[dict[str, int], Tensor, Tensor]:
    try:
        with safe_open(str(path), framework="pt") as file:
            weight, bias = file.get_tensor("weight").float(), file.get_tensor("bias").float()
            users = json.loads((file.metadata() or {}).get("users", '[""]'))
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(
            Problem(
                f"is no reward head for {method!r} ({error})",
                "name a safetensors file with weight (users, width) and bias (users,)",
                file=str(path),
            )
        ) from error
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or len(users) != len(weight):
        raise InputError(
            Problem(
                f"has weight {tuple(weight.shape)}, bias {tuple(bias.shape)}, {len(users)} users",
                "give weight (users, width), bias (users,) and a name for each user",
                file=str(path),
            )
        )
    return {user: row for row, user in enumerate(users)}, weight, bias


def _load(kind: Any, source: ModelSource) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    shared = {"revision": source.revision, "trust_remote_code": source.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.path, **shared)
        model = kind.from_pretrained(
            source.path,
            **shared,
            dtype=_DTYPES[source.dtype],
            use_safetensors=True,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError, ImportError) as error:
        first_line = (
            str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        )
        raise InputError(
            Problem(
                f"cannot be loaded as a model ({first_line})",
                "name a folder or a model of the hub that has safetensors weights and a tokenizer",
                variable=source.path,
            )
        ) from error
    return model.to(source.resolved_device()).eval().requires_grad_(False), tokenizer


def _backbone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: ModelSource
) -> Backbone:
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        raise _unfit(source, f"has layers of the kind {', '.join(sorted(kinds))}")
    context = int(getattr(config, "max_position_embeddings", 0) or 2**31)
    window = getattr(config, "sliding_window", None)
    if window and (kinds != {"full_attention"} or getattr(config, "layer_types", None) is None):
        # Our masks know no window; within it they are the model's own.
        context = min(context, int(window))
    identity = {
        "path": source.path,
        "revision": getattr(model.config, "_commit_hash", None) or source.revision or "",
        "weights": _weights_hash(model, source),
        "tokenizer": tokenizer_hash(tokenizer),
        "dtype": source.dtype,
    }
    network: Any = model.base_model
    return Backbone(network, tokenizer, context, identity)


def _weights_hash(model: PreTrainedModel, source: ModelSource) -> str:
    """SHA-256 of the weights' files; for a hub model its commit, which fixes them."""
    folder = Path(source.path)
    commit = getattr(model.config, "_commit_hash", None)
    if not folder.is_dir() and commit:
        return f"commit:{commit}"
    digest = sha256()
    for path in sorted([*folder.glob("*.safetensors"), folder / "config.json"]):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@torch.inference_mode()
def _check_tree(
    model: PreTrainedModel, backbone: Backbone, head: nn.Module, source: ModelSource
) -> None:
    """See by a trial that the model takes trees, is causal, and has nothing but its head on top.

    Some architectures ignore masks or positions that they are given, scale their logits, or look
    ahead; they would give wrong numbers without a word.
    """
    padding = model.config.get_text_config().pad_token_id
    ids = [token for token in range(3, 9) if token != padding][:5]
    first, aside, second = ids[:2], ids[2:3], ids[3:]
    plain_ids = torch.tensor([first + second], device=backbone.device)
    own = model(input_ids=plain_ids).logits
    own = own[0, -1] if own.ndim == 3 else own[0]
    packed = pack([(first, [aside, second])], device=backbone.device)
    hidden = backbone.hidden(packed.ids, packed.positions, packed.mask)
    ours = head(hidden[0, -1])
    gap = (ours.float() - own.float()).abs().max().item()
    scale = own.float().abs().max().item() + 1
    allowed = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[source.dtype]
    if not gap <= allowed * scale:
        raise _unfit(source, f"gives other numbers for a tree of continuations (by {gap:.2g})")


def _unfit(source: ModelSource, what: str) -> InputError:
    return InputError(
        Problem(
            what,
            "take a decoder-only model with full attention, such as Llama, Qwen2, Qwen3 or GPT-2",
            variable=source.path,
        )
    )
