"""Loading models from the hub or a folder: safetensors only, tried before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from preflamp_backend.faults import fault
from preflamp_backend.models.heads.head import load_head
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.model import Backbone, HeadReward, LanguageModel
from preflamp_backend.models.sources import (
    DTYPES,
    ModelSource,
    load_tokenizer,
    reading,
    remote_code_allowed,
)
from preflamp_backend.models.trees import TREE_ATTENTION, SlotCache, hang, pack
from preflamp_stats.errors import InputError


def load_language_model(source: ModelSource) -> LanguageModel:
    """Load a causal language model, from safetensors only.

    Raises
    ------
    InputError
        If it does not exist, holds no safetensors, or is not one that trees work with.
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
    network, model = _language_model(replace(source, dtype="float32"))
    return network.requires_grad_(True), model


def _language_model(source: ModelSource) -> tuple[PreTrainedModel, LanguageModel]:
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
    return model, language_model


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
        what = f"gives {head.out_features} numbers a response; a reward model gives one"
        raise _unfit(source, what)
    backbone = _backbone(model, tokenizer, source)
    _check_tree(model, backbone, head, source)
    weight = head.weight.detach().float()
    bias = torch.zeros(1, device=weight.device) if head.bias is None else head.bias.detach().float()
    reward_head = LinearHead.of(weight, bias).to(weight.device).requires_grad_(False)
    return HeadReward(backbone, {method: reward_head})


def context_length(config: Any) -> int:
    """Tokens that a model can see, by its configuration.

    Our masks know no sliding window, so a model that has one is used within it, where they are its
    own.
    """
    text = config.get_text_config()
    limit = int(getattr(text, "max_position_embeddings", 0) or 2**31)
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    slides = kinds is None or "sliding_attention" in kinds
    return min(limit, int(window)) if window and slides else limit


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
    tokenizer = load_tokenizer(source)
    with reading(source):
        model, found = kind.from_pretrained(
            source.path,
            revision=source.revision,
            trust_remote_code=remote_code_allowed(),
            dtype=DTYPES[source.dtype],
            use_safetensors=True,
            attn_implementation="sdpa",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    # The library fills what is absent with random numbers and goes on.
    mismatched = [str(each[0]) for each in found["mismatched_keys"]]
    if absent := sorted([*found["missing_keys"], *mismatched]):
        what = f"lacks {len(absent)} weights that its configuration names, such as {absent[0]}"
        raise _unfit(source, what)
    return model.to(source.resolved_device()).eval().requires_grad_(False), tokenizer


def _backbone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: ModelSource
) -> Backbone:
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    if kinds - {"full_attention", "sliding_attention"}:
        raise _unfit(source, f"has layers of the kind {', '.join(sorted(kinds))}")
    network: Any = model.base_model
    return Backbone(network, tokenizer, context_length(model.config))


@torch.inference_mode()
def _check_tree(
    model: PreTrainedModel, backbone: Backbone, head: nn.Module, source: ModelSource
) -> None:
    """Switch to our attention, and see by a trial that trees give the model's own numbers.

    Some architectures ignore masks or positions that they are given, scale their logits, or look
    ahead; they would give wrong numbers without a word.
    """
    padding = model.config.get_text_config().pad_token_id
    ids = [token for token in range(3, 9) if token != padding][:5]
    first, aside, second = ids[:2], ids[2:3], ids[3:]
    plain_ids = torch.tensor([first + second], device=backbone.device)
    try:
        own = model(input_ids=plain_ids).logits
    except ValueError as error:
        raise _unfit(source, f"does not run with standard attention ({error})") from error
    model.set_attn_implementation(TREE_ATTENTION)
    own = own[0, -1] if own.ndim == 3 else own[0]
    packed = pack([(first, [aside, second])], device=backbone.device)
    trees = [backbone.hidden(packed.ids, packed.positions, packed.mask)[0, -1]]
    # The same through the cache, which the library takes under one name or another.
    cache, packed = SlotCache(len(ids)), pack([(first, ())], device=backbone.device)
    backbone.hidden(packed.ids, packed.positions, packed.mask, cache)
    cache.advance(len(first))
    chains = torch.tensor([[second]], device=backbone.device)
    seen = chains.new_ones(1, 1, len(first)).bool()
    where = hang(chains, seen, chains.new_full((1, 1), len(first)))
    trees.append(backbone.hidden(chains[0], *where, cache)[0, -1])
    gap = max((head(each).float() - own.float()).abs().max().item() for each in trees)
    scale = own.float().abs().max().item() + 1
    allowed = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[source.dtype]
    if not gap <= allowed * scale:
        raise _unfit(source, f"gives other numbers for a tree of continuations (by {gap:.2g})")


def _unfit(source: ModelSource, what: str) -> InputError:
    return fault(
        what,
        "take a decoder-only model with full attention, such as Llama, Qwen2, Qwen3 or GPT-2",
        variable=source.path,
    )
