"""Models of random weights, and the ways of scoring and decoding that the benchmark compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from preflamp_backend.decoding.decode import write
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.model import Backbone, HeadReward, LanguageModel
from preflamp_backend.models.trees import TREE_ATTENTION
from preflamp_backend.prompts.encoding import Encoding

PROMPTS, CANDIDATES, NEW_TOKENS, TOP_K = 16, 2, 32, 10


@dataclass(frozen=True)
class Shape:
    """Dimensions of a Qwen2 model."""

    vocabulary: int
    width: int
    layers: int
    inner: int
    heads: int
    key_heads: int
    dtype: torch.dtype = torch.float32


SHAPES = {
    "tiny": Shape(2000, 128, 4, 384, 4, 2),
    "mid": Shape(2000, 512, 8, 1408, 8, 2),
    "0.5B": Shape(151_936, 896, 24, 4864, 14, 2, torch.bfloat16),
    "7B": Shape(152_064, 3584, 28, 18_944, 28, 4, torch.bfloat16),
}


@dataclass(frozen=True)
class Subject:
    """A model in the forms that the ways need, and inputs for it."""

    full: transformers.PreTrainedModel
    model: LanguageModel
    heads: HeadReward
    encodings: list[Encoding]

    @property
    def prompts(self) -> list[tuple[int, ...]]:
        """Prompts alone."""
        return [encoding.prompt for encoding in self.encodings]


def qwen(shape: Shape, **tokens: int | None) -> transformers.Qwen2Config:
    """Configuration of a Qwen2 of this shape, without special tokens but those given."""
    return transformers.Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        intermediate_size=shape.inner,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        **{"bos_token_id": None, "eos_token_id": None} | tokens,
    )


def make_subject(shape: Shape, device: str) -> Subject:
    """Build a random model with eight reward heads, and sixteen prompts with two responses each."""
    torch.manual_seed(0)
    config = qwen(shape)
    with torch.device(device):
        full = transformers.AutoModelForCausalLM.from_config(config, dtype=shape.dtype).eval()
    full.requires_grad_(False)
    backbone = Backbone(full.base_model, transformers.PreTrainedTokenizerBase(), 4096)
    model = LanguageModel(backbone, full.get_output_embeddings(), (), full.num_parameters())
    weights = torch.randn(8, 1, shape.width) / shape.width**0.5
    heads = HeadReward(
        backbone,
        {f"head{i}": LinearHead.of(weights[i], torch.zeros(1)).to(device) for i in range(8)},
    )
    rng = np.random.default_rng(0)

    def ids(low: int, high: int) -> tuple[int, ...]:
        return tuple(rng.integers(0, 2000, rng.integers(low, high)).tolist())

    encodings = [
        Encoding(ids(40, 100), tuple(ids(20, 48) for _ in range(CANDIDATES)))
        for _ in range(PROMPTS)
    ]
    return Subject(full, model, heads, encodings)


@torch.inference_mode()
def naive_logprobs(subject: Subject, encoding: Encoding) -> list[float]:
    """One sequence at a time, logits at every position."""
    sums = []
    for response in encoding.continuations:
        ids = torch.tensor([[*encoding.prompt, *response]], device=subject.full.device)
        logprobs = (
            subject.full(ids).logits.float().log_softmax(-1)[0, len(encoding.prompt) - 1 : -1]
        )
        picked = logprobs.gather(1, ids[0, len(encoding.prompt) :, None])
        sums.append(picked.sum().item())
    return sums


@torch.inference_mode()
def naive_trace(
    subject: Subject, prompt: tuple[int, ...], response: tuple[int, ...]
) -> list[float]:
    """One forward a prefix."""
    rewards = []
    for length in range(1, len(response) + 1):
        ids = torch.tensor([[*prompt, *response[:length]]], device=subject.full.device)
        hidden = subject.full.base_model(ids).last_hidden_state[0, -1].float()
        rewards.append((hidden @ subject.heads.heads["head0"].weight[0]).item())
    return rewards


@torch.inference_mode()
def naive_guided(subject: Subject, prompt: tuple[int, ...], steps: int) -> list[int]:
    """ARGS as published: at each step the model and the reward read every prefix anew."""
    ids = list(prompt)
    for _ in range(steps):
        logits = subject.full(torch.tensor([ids], device=subject.full.device)).logits[0, -1]
        tops, which = logits.float().log_softmax(-1).topk(TOP_K)
        candidates = torch.tensor([[*ids, v] for v in which.tolist()], device=subject.full.device)
        hidden = subject.full.base_model(candidates).last_hidden_state[:, -1].float()
        ids.append(which[(tops + hidden @ subject.heads.heads["head0"].weight[0]).argmax()].item())
    return ids[len(prompt) :]


def generate(subject: Subject) -> torch.Tensor:
    """Transformers' own greedy decoding of all prompts in one batch."""
    width = max(map(len, subject.prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in subject.prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in subject.prompts])
    with torch.inference_mode():
        return subject.full.generate(
            ids.to(subject.full.device),
            attention_mask=mask.to(subject.full.device),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            pad_token_id=0,
        )


def guided(subject: Subject) -> list[list[int]]:
    """Our guided decoding of all prompts in one batch."""
    options = DecodingOptions("guided", top_k=TOP_K, max_new_tokens=NEW_TOKENS)
    uniform = torch.zeros(PROMPTS, NEW_TOKENS)
    asked = [Request("", each) for each in subject.encodings]
    written = write(subject.model, asked, options, uniform, reward=subject.heads.only("head0"))
    return [list(each.ids) for each in written]


def ours(subject: Subject, way: Callable[[], object]) -> Callable[[], object]:
    """Run a way of ours with our attention, and put the usual one back for the others."""

    def run() -> object:
        subject.full.set_attn_implementation(TREE_ATTENTION)
        try:
            return way()
        finally:
            subject.full.set_attn_implementation("sdpa")

    return run
