"""Tiny random models of four architectures, and a tokenizer trained on a page of text."""

from __future__ import annotations

import os
from pathlib import Path

import tokenizers
import torch
import transformers
from preflamp_backend.models.heads.head import RewardHead
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.model import HeadReward, LanguageModel
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from torch import nn

torch.set_num_threads(1)

DEVICE = os.environ.get("PREFLAMP_TEST_DEVICE", "cpu")
"""Where the models of the tests compute."""

TEXT = """Deep learning for the diagnosis of plant diseases. A survey of methods for graph matching.
Towards a theory of reward models. The cat sat on the mat and looked at the moon, which was full.
Generate a title for the following abstract of a paper: we study how preferences of users differ.
"""

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

ARCHITECTURES = ("qwen2", "qwen3", "llama", "gpt2")


def make_tokenizer(*, bos: bool) -> transformers.PreTrainedTokenizerFast:
    raw = Tokenizer(tokenizers.models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>", "<s>"]
    raw.train_from_iterator(
        [TEXT] * 3,
        trainers.BpeTrainer(
            vocab_size=384,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if bos:
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", raw.token_to_id("<s>"))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>" if bos else None,
        eos_token="<|end|>",
        pad_token="<|end|>",
        chat_template=CHAT,
    )


def make_config(architecture: str, *, context: int = 256, **changes: object):
    shape = {
        "vocab_size": 400,
        "eos_token_id": 0,
        "pad_token_id": 0,
        "bos_token_id": 3 if architecture == "llama" else None,
    }
    if architecture == "gpt2":
        return transformers.GPT2Config(
            **shape,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=context,
            initializer_range=0.3,
            **changes,
        )
    kinds = {
        "qwen2": transformers.Qwen2Config,
        "qwen3": transformers.Qwen3Config,
        "llama": transformers.LlamaConfig,
    }
    extra = {"head_dim": 8} if architecture == "qwen3" else {}
    return kinds[architecture](
        **shape,
        **extra,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        **changes,
    )


def save_model(
    folder: Path, architecture: str, *, seed: int, classifier: bool = False, **changes
) -> Path:
    """Write a random model with its tokenizer as a folder of safetensors."""
    torch.manual_seed(seed)
    config = make_config(architecture, **({"num_labels": 1} if classifier else {}), **changes)
    kind = (
        transformers.AutoModelForSequenceClassification
        if classifier
        else transformers.AutoModelForCausalLM
    )
    kind.from_config(config).save_pretrained(folder)
    make_tokenizer(bos=architecture == "llama").save_pretrained(folder)
    return folder


class MlpHead(RewardHead):
    """A reward that is linear neither in the hidden state nor in the user, and reads the prompt."""

    kind = "test-mlp"

    def __init__(self, users, width):
        super().__init__(users, width)
        self.user = nn.Parameter(torch.zeros(len(users), 5))
        self.inner = nn.Linear(2 * width + 5, 16)
        self.outer = nn.Linear(16, 1)

    def for_users(self, rows):
        return self.user[rows]

    def forward(self, hidden, user, prompt):
        shape = (-1, hidden.shape[1], -1)
        beside = torch.cat([prompt, user], -1)[:, None].expand(*shape)
        return self.outer(self.inner(torch.cat([hidden, beside], -1)).tanh())[..., 0]

    def config(self):
        return {"width": self.width}


def make_heads(model: LanguageModel, methods: int = 3, users: tuple[str, ...] = ("a", "b"), seed=0):
    """Random heads: one for everybody, then a row a user; the third and sixth are not linear."""
    generator = torch.Generator().manual_seed(seed)
    width = model.backbone.network.config.hidden_size
    heads = {}
    for method in range(methods):
        names = ("",) if method == 0 else users
        head = MlpHead(names, width) if method % 3 == 2 else LinearHead(names, width)
        for each in head.parameters():
            each.data = torch.randn(each.shape, generator=generator) / width**0.5
        heads[f"head{method}"] = head.requires_grad_(False).to(model.backbone.device)
    return HeadReward(model.backbone, heads)
