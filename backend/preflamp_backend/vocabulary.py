"""Telling tokenizers apart."""

from __future__ import annotations

import hashlib
import json

from transformers import PreTrainedTokenizerBase

from preflamp_stats.errors import InputError, Problem

__all__ = ["other_tokenizer", "same_vocabulary", "tokenizer_hash", "vocabulary_hash"]


def vocabulary_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the mapping from tokens to ids."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(vocabulary.encode("utf-8", "surrogatepass")).hexdigest()


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
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def other_tokenizer(method: str) -> InputError:
    """Make the error of a reward model that is asked to guide tokens that it does not know."""
    return InputError(
        Problem(
            f"the reward model {method!r} has another tokenizer than the base model, so it cannot "
            "judge single tokens",
            "take a reward model with the base model's tokenizer, or decode by best-of-n",
        )
    )


def same_vocabulary(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase) -> bool:
    """Whether an id means the same text to both tokenizers."""
    return one is other or vocabulary_hash(one) == vocabulary_hash(other)
