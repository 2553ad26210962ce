"""The trial at loading: by which road a model gives its own numbers, or why by none.

Some architectures ignore masks or positions that they are given, cap their attention, keep states
instead of keys, look ahead, or change their logits after the head. So each road is tried against
the model's own reading of single texts: two prompts of unequal length, branches, a cache, chains
hung off it, a token that stays, rows in another order. Windows are made a few tokens short
meanwhile, so that the texts of the trial reach beyond them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from preflamp_backend.models.model import Backbone, RowRoad
from preflamp_backend.models.sequences import read_packed, sequences
from preflamp_backend.models.trees import TREE_ATTENTION, pack

_ALLOWED = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference of logits, as a share of the largest one."""

_WINDOW = 4
"""Tokens of a window during the trial."""

_WINDOWS = (
    *("sliding_window", "sliding_window_size", "attention_window_size", "local_attention"),
    "attention_chunk_size",
)
"""What configurations and layers call it."""

_ROADS = (
    RowRoad(padded=True, cached=True),
    RowRoad(padded=False, cached=True),
    RowRoad(padded=True, cached=False),
    RowRoad(padded=False, cached=False),
)
"""Ways of the second road, the fastest first."""


def backbone_name(model: PreTrainedModel) -> str:
    """What a model calls its backbone; '' where it has none apart from its head."""
    named = [model.base_model_prefix, "model"]
    return next((name for name in named if isinstance(getattr(model, name, None), nn.Module)), "")


class UnfitError(Exception):
    """No road gives the model's own numbers; says why."""


def layer_windows(config: Any) -> dict[str, int | None] | None:
    """Kinds of attention layers and how far each sees; None where a tree's mask can't say it.

    Examples
    --------
    >>> from transformers import LlamaConfig, MistralConfig
    >>> layer_windows(MistralConfig(sliding_window=64)), layer_windows(LlamaConfig())
    ({'sliding_attention': 64}, {'full_attention': None})
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None) or getattr(text, "attention_layers", None)
    kinds = kinds or ["sliding_attention" if window else "full_attention"]
    far: dict[str, int | None] = {"full_attention": None, "sliding_attention": window}
    far["chunked_attention"] = getattr(text, "attention_chunk_size", None)
    found = {kind: far.get(kind) for kind in sorted(set(kinds))}
    limits = [size for kind, size in found.items() if kind != "full_attention"]
    return found if all(type(size) is int for size in limits) else None


@contextmanager
def _short_windows(model: nn.Module) -> Iterator[bool]:
    """Let the model's windows be a few tokens, in its configurations and its layers; any there?"""
    configs = [getattr(module, "config", None) for module in model.modules()]
    owners = {id(each): each for each in (*configs, *model.modules()) if each is not None}
    before = []
    for owner in owners.values():
        for name in _WINDOWS:
            size = getattr(owner, name, None)
            settable = not isinstance(getattr(type(owner), name, None), property)
            if type(size) is int and size > _WINDOW and settable:
                before.append((owner, name, size))
    try:
        for owner, name, _ in before:
            setattr(owner, name, _WINDOW)
        yield bool(before)
    finally:
        for owner, name, size in before:
            setattr(owner, name, size)


class _States:
    """What a backbone returns, of which only the hidden states are there."""

    def __init__(self, states: Tensor) -> None:
        self.last_hidden_state = states

    def __getitem__(self, place: Any) -> Any:
        return (self.last_hidden_state,)[place]

    def __getattr__(self, name: str) -> None:
        return None


class _Given(nn.Module):
    """In a backbone's place: takes hidden states for embeddings, and returns them."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> _States:
        return _States(inputs_embeds)


class Readout(nn.Module):
    """Logits of hidden states by the model's own code, which may scale or cap them.

    Parameters
    ----------
    model : PreTrainedModel
        Its weights are shared.

    Examples
    --------
    >>> from transformers import GraniteConfig, GraniteForCausalLM
    >>> sizes = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8}
    >>> layers = {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    >>> config = GraniteConfig(**sizes, **layers, logits_scaling=4.0)
    >>> model, hidden = GraniteForCausalLM(config), torch.ones(8)
    >>> bool(torch.allclose(Readout(model)(hidden), model.lm_head(hidden) / 4))
    True
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        alone = copy(model)
        alone._modules = dict(model._modules)
        alone._modules[backbone_name(model)] = _Given()
        self.model = alone

    def forward(self, hidden: Tensor) -> Tensor:
        """Give (…, vocabulary) for (…, width)."""
        given = hidden.reshape(1, -1, hidden.shape[-1])
        logits: Tensor = self.model(inputs_embeds=given, use_cache=False).logits
        return logits.view(*hidden.shape[:-1], -1)


class _Trial:
    """Texts of a trial, and what the model itself makes of them.

    Parameters
    ----------
    model : PreTrainedModel
        With its own attention.
    backbone : Backbone
    heads : sequence of nn.Module
        Maps of hidden states of which the first is taken that gives the model's own numbers.

    Raises
    ------
    UnfitError
        If none does.
    """

    def __init__(
        self, model: PreTrainedModel, backbone: Backbone, heads: Sequence[nn.Module]
    ) -> None:
        text = model.config.get_text_config()
        named = {
            value
            for config in (model.config.to_dict(), text.to_dict())
            for name, value in config.items()
            if "token" in name and type(value) is int
        }
        size = model.get_input_embeddings().weight.shape[0]
        free = [token for token in range(3, min(size, 60)) if token not in named]
        if len(free) < 20:
            raise UnfitError("has too few tokens to be tried")
        # Long enough for what cuts texts into chunks of 64.
        free = free[:20] * 4
        # Two prompts, and for each a text that it goes on with and one that it might have.
        self.prompts = (tuple(free[:67]), tuple(free[7:10]))
        self.stays, self.aside = tuple(free[70:74]), tuple(free[75:77])
        self.backbone = backbone
        self.texts = {
            (row, path): (*prompt, *path)
            for row, prompt in enumerate(self.prompts)
            for path in (self.stays, self.aside)
        }
        self.hidden = {key: self._alone(ids) for key, ids in self.texts.items()}
        # The whole model, logits and all, on one text.
        key = (0, self.stays)
        ids = torch.tensor([self.texts[key]], device=backbone.device)
        own = model(input_ids=ids).logits
        self.own = own[0, -1] if own.ndim == 3 else own[0]
        self.scale = self.own.float().abs().max().item() + 1
        gaps, why = [], ""
        for head in heads:
            try:
                gaps.append((self._gap(head(self.hidden[key][-1]), self.own), head))
            except Exception as error:
                why = _first_line(error)
        if not gaps:
            raise UnfitError(f"has logits that are not read from its hidden states ({why})")
        fitting = [head for gap, head in gaps if gap <= self.allowed]
        if not fitting:
            raise UnfitError(
                "has logits that are not read from its hidden states alone "
                f"(off by {min(gap for gap, _ in gaps):.2g})"
            )
        self.head = fitting[0]

    @property
    def allowed(self) -> float:
        """Largest difference that rounding explains."""
        return _ALLOWED[self.backbone.network.dtype] * self.scale

    def _alone(self, ids: Sequence[int]) -> Tensor:
        text = torch.tensor([list(ids)], device=self.backbone.device)
        states, _ = self.backbone.plain(text)
        return states[0]

    def beyond(self) -> Tensor:
        """Hidden state after the longest text, as the model reads it now."""
        return self._alone(self.texts[0, self.stays])[-1]

    def _gap(self, found: Tensor, expected: Tensor) -> float:
        # A maximum would pass over NaN.
        gap = (found.float() - expected.float()).abs()
        return float("inf") if bool(gap.isnan().any()) else gap.max().item()

    def _off(self, found: Tensor, row: int, path: tuple[int, ...], at: int | slice) -> float:
        """Difference of logits at places of a text's continuation, -1 its prompt's last token."""
        first = len(self.prompts[row])
        where = slice(first + at.start, first + at.stop) if isinstance(at, slice) else first + at
        expected = self.hidden[row, path][where]
        return self._gap(self.head(found), self.head(expected))

    def gap(self, backbone: Backbone) -> float:
        """Largest difference of logits between a road and the model's own reading."""
        gaps = []
        device = backbone.device
        # Prompts with two branches each.
        rows = [(prompt, (self.stays, self.aside)) for prompt in self.prompts]
        packed = pack(rows, device=device)
        states = read_packed(backbone, rows, packed)
        for row in (0, 1):
            gaps.append(self._off(states[row, packed.last[row]], row, self.stays, -1))
            for branch, path in enumerate((self.stays, self.aside)):
                own = packed.slot[(packed.row == row) & (packed.branch == branch)]
                gaps.append(self._off(states[row, own], row, path, slice(0, len(path))))
        # The same from a cache: two chains of two, of which a token stays; then a token a chain.
        going = sequences(backbone, self.prompts, room=12)
        gaps += [self._off(going.last[row], row, self.stays, -1) for row in (0, 1)]
        paths = (self.aside, self.stays)
        chains = torch.tensor([[path[:2] for path in paths]] * 2, device=device)
        hung = going.branch(chains)
        for row in (0, 1):
            for chain, path in enumerate(paths):
                gaps.append(self._off(hung[row, chain], row, path, slice(0, 2)))
        going.keep(torch.tensor([2, 2], device=device))
        hung = going.branch(torch.tensor([[[3], [self.stays[1]]]] * 2, device=device))
        gaps += [self._off(hung[row, 1, 0], row, self.stays, 1) for row in (0, 1)]
        going.keep(torch.tensor([1, 1], device=device))
        # Rows in another order, one of them twice.
        order = (1, 0, 1)
        going.select(torch.tensor(order, device=device))
        for at in (2, 3):
            next_states = going.go_on(torch.tensor([self.stays[at]] * 3, device=device))
            pairs = zip(next_states, order, strict=True)
            gaps += [self._off(state, row, self.stays, at) for state, row in pairs]
        return max(gaps)


@torch.inference_mode()
def find_road(
    model: PreTrainedModel, backbone: Backbone, heads: Sequence[nn.Module]
) -> tuple[Backbone, nn.Module]:
    """Try a model, and leave it with the attention that its road needs.

    Parameters
    ----------
    model : PreTrainedModel
        With its own attention.
    backbone : Backbone
        Its backbone, by no road yet.
    heads : sequence of nn.Module
        Maps of hidden states, the preferred one first.

    Returns
    -------
    Backbone
        With its road.
    nn.Module
        The first map that gives the model's own numbers.

    Raises
    ------
    UnfitError
        If no road does.
    """
    windows = layer_windows(model.config)
    if getattr(model.config.get_text_config(), "attn_layers", None):
        raise UnfitError("attends by random hashes, so that no two readings are alike")
    own = getattr(model.config, "_attn_implementation", None) or "eager"
    try:
        trial = _Trial(model, backbone, heads)
        far = trial.beyond()
        with _short_windows(model) as slides:
            if slides:
                trial = _Trial(model, backbone, [trial.head])
            # Where a shorter window changes nothing it was set elsewhere, and is not tried; unless
            # no layer has one.
            moved = slides and bool((trial.beyond() - far).abs().max() > 1e-6)
            sure = moved or not slides or windows == {"full_attention": None}
            why = []
            if windows is not None and sure:
                model.set_attn_implementation(TREE_ATTENTION)
                short = {kind: size and min(size, _WINDOW) for kind, size in windows.items()}
                reason = _tried(trial, replace(backbone, windows=short))
                if reason is None:
                    return replace(backbone, windows=_several(windows)), trial.head
                why.append(f"as trees {reason}")
                model.set_attn_implementation(own)
            for road in _ROADS:
                if road.padded and not sure:
                    continue
                found = replace(backbone, rows=road)
                reason = _tried(trial, found)
                if reason is None:
                    return found, trial.head
                why.append(f"as rows {reason}")
    except UnfitError:
        raise
    except Exception as error:
        raise UnfitError(f"does not run ({_first_line(error)})") from error
    raise UnfitError(f"gives other numbers for parts of a text: {why[-1]}")


def _several(windows: Mapping[str, int | None]) -> Mapping[str, int | None]:
    """Nothing where all layers see all, so that no mask is made for them."""
    return {} if windows == {"full_attention": None} else windows


def _tried(trial: _Trial, backbone: Backbone) -> str | None:
    """Why a road is not the model's, or None where it is."""
    try:
        gap = trial.gap(replace(backbone, windows=_several(backbone.windows)))
    except Exception as error:
        return f"it fails ({_first_line(error)})"
    return None if gap <= trial.allowed else f"it is off by {gap:.2g}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__
