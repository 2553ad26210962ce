"""Attention for trees: query heads that share keys are folded into one, so keys are never repeated.

Models with grouped queries let several query heads read the same keys and values. The usual way
copies keys and values for every head at every step; with a long cache that copy is most of a
step's memory traffic. Here the queries of a group stand behind one another instead, which costs
nothing.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

__all__ = ["TREE_ATTENTION"]

TREE_ATTENTION = "preflamp_tree"
"""Name under which models are told to use it."""


def _tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend under an explicit mask.

    Parameters
    ----------
    module : nn.Module
        The calling layer; not used.
    query : Tensor, (rows, heads, n, width)
    key, value : Tensor, (rows, key heads, slots, width)
    attention_mask : Tensor, (rows, 1, n, slots), bool, optional
        What each query sees; None lets each see what is not after it.
    scaling : float, optional
        Factor of the scores.

    Returns
    -------
    Tensor, (rows, n, heads, width)
    None
        In place of attention weights, which are not kept.
    """
    rows, heads, count, width = query.shape
    groups = heads // key.shape[1]
    if groups > 1 and count < key.shape[2] and attention_mask is not None:
        query = query.reshape(rows, key.shape[1], groups * count, width)
        attention_mask = attention_mask.repeat(1, 1, groups, 1)
    elif groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    found = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        scale=scaling,
        is_causal=attention_mask is None and count > 1,
    )
    return found.reshape(rows, heads, count, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(TREE_ATTENTION, _tree_attention)
