"""Models of the hub or a folder: what they are, loading from safetensors only, a trial first."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import CONFIG_NAME, logging
from transformers.utils.hub import cached_file, extract_commit_hash

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import load_head
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.model import Backbone, HeadReward, LanguageModel
from preflamp_backend.models.repeatable import ask_for_repeatable_products
from preflamp_backend.models.sources import in_bits
from preflamp_backend.models.trial import Readout, UnfitError, backbone_name, find_road
from preflamp_backend.options import Options
from preflamp_stats.errors import InputError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precisions that a model may run in, by name."""


@dataclass(frozen=True)
class ModelSource(Options):
    """Where a model comes from and how it is loaded; code that comes with a model is never run.

    Parameters
    ----------
    path : str
        Name on the Hugging Face hub, or a folder.
    revision : str, optional
        Commit, tag or branch on the hub.
    dtype : {"float32", "bfloat16", "float16"}
    device : str
        Such as ``cpu`` or ``cuda:0``; ``auto`` takes a GPU where there is one.
    bits : {"", "8", "4"}
        Weights kept in 8 or 4 bits by bitsandbytes; what is trained further is kept whole.
    """

    path: str
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    bits: Literal["", "8", "4"] = ""

    @property
    def files(self) -> ModelSource:
        """Where tokenizer and configuration are read."""
        return self

    @property
    def limit(self) -> int:
        """Tokens that the model can see."""
        return context_length(load_config(self))

    def stated(self) -> dict[str, str]:
        """Say what is known of weights that are not here; nothing of those that are."""
        return {}

    def resolved_device(self) -> torch.device:
        """Return the device meant, refusing a GPU that is not there."""
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        device = torch.device(automatic if self.device == "auto" else self.device)
        if device.type == "cuda":
            if not torch.cuda.is_available():
                what = "asks for a GPU, and torch sees none"
                raise fault(what, "set device = 'auto'", variable="device")
            # Here, because nothing has been computed there yet.
            ask_for_repeatable_products()
        return device


def identify(source: ModelSource) -> dict[str, str]:
    """Say what makes a model's numbers, without loading its weights.

    Returns
    -------
    dict
        ``weights`` (SHA-256 of a folder's files, or the commit of a hub model), ``tokenizer``,
        ``dtype``, ``device``. The path is not part of it: a folder may move.

    Raises
    ------
    InputError
        If the model does not exist.
    """
    tokenizer = {"tokenizer": tokenizer_hash(load_tokenizer(source))}
    if stated := source.stated():
        return stated | tokenizer
    here = {"weights": _weights_hash(source), "dtype": source.dtype, "device": source.device}
    bits = {"bits": source.bits} if source.bits else {}
    return here | bits | tokenizer


@cache
def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer: what its ``tokenizer.json`` says, where there is one.

    The library picks a class by the model's type, and may build rules of its own around the saved
    vocabulary; texts would then be read as other tokens than the model was trained on.

    Raises
    ------
    InputError
        If there is none, or it does not read texts as its own file does.
    """
    source = source.files
    with reading(source):
        choices: dict[str, Any] = {"revision": source.revision}
        name = cached_file(
            source.path, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **choices
        )
        saved = Tokenizer.from_file(name) if name else None
        choices["trust_remote_code"] = remote_code_allowed()
        read = transformers.AutoTokenizer.from_pretrained
        tokenizer: PreTrainedTokenizerBase = read(source.path, **choices)
        if not _reads_alike(tokenizer, saved):
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(source.path, **choices)
            if not _reads_alike(tokenizer, saved):
                raise ValueError("its tokenizer reads texts otherwise than its tokenizer.json")
    return tokenizer


_PROBE = "It's a trial: 2 naïve words, 12,345.6 + x_1\n\n  Ünïcode, 汉字, да!\t"


def _reads_alike(tokenizer: PreTrainedTokenizerBase, saved: Tokenizer | None) -> bool:
    """Whether texts become the ids that the saved tokenizer makes of them."""
    probes = [_PROBE]
    if saved is not None:
        # Words that the vocabulary has: to a tokenizer of words all others are alike.
        words = sorted(saved.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1])
        probes.append(" ".join(word for word, _ in words[:1000]))
        saved.no_truncation()
        saved.no_padding()
    # Settings that make no sense are found out only in use, so the probe is read in any case.
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in probes]
    if saved is None:
        return True
    return ids == [saved.encode(text, add_special_tokens=False).ids for text in probes]


@cache
def load_config(source: ModelSource) -> Any:
    """Load a model's configuration.

    Raises
    ------
    InputError
        If there is none.
    """
    with reading(source):
        return transformers.AutoConfig.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=remote_code_allowed()
        )


@contextmanager
def reading(source: ModelSource) -> Iterator[None]:
    """Read a model's files: what the library makes of bad ones becomes a problem of the model.

    The library's own log is silent meanwhile; what it says is in the problem.

    Raises
    ------
    InputError
        In place of any other exception: whatever the library makes of files that are not what they
        say, it is their fault.
    """
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        what = f"cannot be loaded as a model ({lines[0]})"
        mend = "name a folder or a model of the hub with safetensors weights and a tokenizer"
        raise fault(what, mend, variable=source.path) from error
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def remote_code_allowed() -> bool:
    """Whether whoever runs this asked for code that comes with models to be run.

    By the environment variable ``PREFLAMP_TRUST_REMOTE_CODE=1``, never by a study file or a model:
    those are data.
    """
    return os.environ.get("PREFLAMP_TRUST_REMOTE_CODE") == "1"


def _hub_commit(source: ModelSource) -> str:
    """Commit of a hub model, from the folder of its cache that its configuration lies in."""
    with reading(source):
        config = cached_file(source.path, CONFIG_NAME, revision=source.revision)
        commit = extract_commit_hash(config, None)
        if commit is None:
            raise OSError(f"no commit is known of {config}")
    return commit


def _weights_hash(source: ModelSource) -> str:
    folder = Path(source.path)
    if not os.path.isdir(folder):
        return f"commit {_hub_commit(source)}"
    digest = sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")]):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def vocabulary_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the mapping from tokens to ids."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()))
    return sha256(vocabulary.encode("utf-8", "surrogatepass")).hexdigest()


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of all that turns text into ids: vocabulary, rules, special tokens, chat template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = json.loads(backend.to_str()) if backend is not None else {}
    for passing in ("truncation", "padding"):
        rules.pop(passing, None)
    state = [
        vocabulary_hash(tokenizer),
        rules,
        tokenizer.special_tokens_map,
        getattr(tokenizer, "chat_template", None),
    ]
    text = json.dumps(state, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def other_tokenizer(method: str) -> InputError:
    """Make the error of a reward model that is asked to guide tokens that it does not know."""
    return fault(
        f"the reward model {method!r} has another tokenizer than the base model, so it cannot "
        "judge single tokens",
        "take a reward model with the base model's tokenizer, or decode by best-of-n",
    )


def same_vocabulary(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether an id means the same text to both tokenizers."""
    return one is other or vocabulary_hash(one) == vocabulary_hash(other)


def load_language_model(source: ModelSource) -> LanguageModel:
    """Load a causal language model, from safetensors only.

    Raises
    ------
    InputError
        If it does not exist, holds no safetensors, or gives its own numbers by no road.
    """
    return _language_model(source)[1]


def load_trainable(source: ModelSource) -> tuple[PreTrainedModel, LanguageModel]:
    """Load a causal language model to train it further, in float32.

    Dropout stays off: the same weights give the same loss, and a pair is compared under one model.

    Returns
    -------
    PreTrainedModel
        All weights, free to change; for saving.
    LanguageModel
        The same weights, for reading.

    Raises
    ------
    InputError
        As :func:`load_language_model`.
    """
    network, model = _language_model(replace(source, dtype="float32", bits=""))
    return network.requires_grad_(True), model


def _language_model(source: ModelSource) -> tuple[PreTrainedModel, LanguageModel]:
    model, tokenizer = _load(transformers.AutoModelForCausalLM, source)
    heads = [head for head in (model.get_output_embeddings(), Readout(model)) if head is not None]
    backbone, head = _tried(model, tokenizer, source, heads)
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = tokenizer.eos_token_id if ends is None else ends
    eos = () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)
    return model, LanguageModel(backbone, head, eos, model.num_parameters())


def load_sequence_classifier(source: ModelSource, method: str) -> HeadReward:
    """Load a reward model of the ``AutoModelForSequenceClassification`` kind, safetensors only.

    Its head is read at the position that we name, never through the model's own pooling, which
    looks for padding by id and therefore misses a response's end where pad and end are one token.

    Raises
    ------
    InputError
        If it does not exist, has more than one label, or is not causal.
    """
    model, tokenizer = _load(transformers.AutoModelForSequenceClassification, source)
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear):
        raise _unfit(source, "has no linear head named 'score' over a causal backbone")
    if head.out_features != 1:
        what = f"gives {head.out_features} numbers a response; a reward model gives one"
        raise _unfit(source, what)
    backbone, _ = _tried(model, tokenizer, source, [head])
    weight = head.weight.detach().float()
    bias = torch.zeros(1, device=weight.device) if head.bias is None else head.bias.detach().float()
    reward_head = LinearHead.of(weight, bias).to(weight.device).requires_grad_(False)
    return HeadReward(backbone, {method: reward_head})


def context_length(config: Any) -> int:
    """Tokens that a model can see, by its configuration.

    Where the rope's factors change with the longest text of a batch (longrope) it is the length up
    to which they do not: beyond it a text's numbers would depend on its neighbours. Where attention
    picks the best keys it is their number: beyond it ties among keys decide.
    """
    text = config.get_text_config()
    limit = int(getattr(text, "max_position_embeddings", 0) or 2**31)
    for name in ("index_topk", "indexer_budget", "keep_window_size", "index_topk_blocks"):
        picked = getattr(text, name, None) or limit
        each = text.index_block_size if name == "index_topk_blocks" and picked < limit else 1
        limit = min(limit, int(picked) * each)
    ropes = getattr(text, "rope_parameters", None) or {}
    for rope in (ropes, *(each for each in ropes.values() if isinstance(each, dict))):
        if rope.get("rope_type") == "longrope":
            limit = min(limit, int(rope.get("original_max_position_embeddings") or limit))
    return limit


def load_heads(backbone: Backbone, paths: Mapping[str, str | Path]) -> HeadReward:
    """Load reward heads that share a backbone.

    Parameters
    ----------
    backbone : Backbone
        On whose hidden states the heads were trained.
    paths : mapping of method to path
        Files as :func:`preflamp_backend.models.heads.head.save_head` writes them.

    Raises
    ------
    InputError
        For a file that is missing, holds no reward head, or does not fit the backbone.
    """
    heads = {}
    width = backbone.network.config.get_text_config().hidden_size
    for method, path in paths.items():
        head = load_head(path)
        if head.width != width:
            raise fault(
                f"holds a head of width {head.width} for {method!r}, not of {width}",
                "name the head that was trained on this base model",
                file=str(path),
            )
        heads[method] = head.to(backbone.device)
    return HeadReward(backbone, heads)


def _load(kind: Any, source: ModelSource) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if source.path.startswith(("http://", "https://")):
        what = "is a server, and its weights are needed here"
        raise fault(what, "name the model's folder or hub name", variable=source.path)
    tokenizer = load_tokenizer(source)

    def load(attention: str) -> Any:
        return kind.from_pretrained(
            source.path,
            revision=source.revision,
            trust_remote_code=remote_code_allowed(),
            dtype=DTYPES[source.dtype],
            **in_bits(source.bits, source.resolved_device(), source.path),
            use_safetensors=True,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )

    with reading(source):
        try:
            model, found = load("sdpa")
        except ValueError as error:
            # Refused before any weight is read: these compute attention by themselves.
            if "scaled_dot_product_attention" not in str(error):
                raise
            model, found = load("eager")
    # The library fills what is absent with random numbers and goes on.
    mismatched = [str(each[0]) for each in found["mismatched_keys"]]
    if absent := sorted([*found["missing_keys"], *mismatched]):
        what = f"lacks {len(absent)} weights that its configuration names, such as {absent[0]}"
        raise _unfit(source, what)
    model = model if source.bits else model.to(source.resolved_device())
    return model.eval().requires_grad_(False), tokenizer


def _tried(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: ModelSource,
    heads: Sequence[nn.Module],
) -> tuple[Backbone, nn.Module]:
    """Backbone by the road that a trial chooses, and the first head that gives its numbers."""
    network = getattr(model, backbone_name(model), None)
    if network is None:
        raise _unfit(source, "has no backbone apart from its head")
    backbone = Backbone(network, tokenizer, context_length(model.config))
    try:
        return find_road(model, backbone, heads)
    except UnfitError as error:
        raise _unfit(source, str(error)) from error


def _unfit(source: ModelSource, what: str) -> InputError:
    return fault(
        what,
        "take a decoder-only model, such as Llama, Qwen, Gemma or Mistral",
        variable=source.path,
    )
