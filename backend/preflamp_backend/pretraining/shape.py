"""The tokenizer and the shape of a model that is trained from scratch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from tokenizers import pre_tokenizers
from transformers import Qwen2Config, Qwen2Tokenizer

from preflamp_backend.faults import fault

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
