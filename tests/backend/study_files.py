"""A small study on disk: users with a history, two base models, every kind of method.

Transformers gives Qwen2 a token of its own, so that "alien" has another tokenizer than the rest.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from preflamp_backend.models.heads.head import save_head
from preflamp_backend.models.heads.linear import LinearHead
from tiny_models import save_model

STUDY = """
[data.titles]
path = "titles.jsonl"

[models.small]
path = "small"
[models.other]
path = "other"

[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
[methods.lore]
kind = "head"
path = "heads/{model}/lore.safetensors"
decode = false
[methods.rm]
kind = "classifier"
path = "rm"
strategy = "best-of-n"
n = 3
temperature = 1.0
[methods.alien]
kind = "classifier"
path = "alien"
decode = false
[methods.genarm]
kind = "autoregressive"
path = "arm"
weight = 0.5
[methods.pad]
kind = "pad"
path = "arm"
template = "Preference: {preference}\\n{prompt}"
[methods.zero]
kind = "zero-shot"
[methods.icl]
kind = "in-context"
shots = 2
order = "bm25"
budget = 60

[scoring]
weights = [0.0, 1.0]
top_k = 4
batch_tokens = 400

[decoding]
max_new_tokens = 5
batch_rows = 4

[run]
seeds = [0, 1]
shard_size = 4
"""

LIGHT = """
[data.titles]
path = "titles.jsonl"
[models.small]
path = "small"
[methods.bt]
kind = "head"
path = "heads/{model}/bt.safetensors"
[methods.rm]
kind = "classifier"
path = "rm"
strategy = "best-of-n"
n = 3
temperature = 1.0
[methods.icl]
kind = "in-context"
shots = 1
[scoring]
weights = [1.0]
top_k = 4
[decoding]
max_new_tokens = 5
batch_rows = 4
[run]
shard_size = 4
"""
"""What the tests run that need a whole run of their own: the same paths, fewer shards."""

TITLES = ("Deep learning for graphs", "A theory of rewards", "The cat and the moon", "Of plants")


def write_study(folder: Path, *, examples: int = 7, text: str = LIGHT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "small").exists():
        save_model(folder / "small", "qwen3", seed=1)
        save_model(folder / "other", "gpt2", seed=2)
        save_model(folder / "rm", "qwen3", seed=3, classifier=True)
        save_model(folder / "alien", "qwen2", seed=5, classifier=True)
        save_model(folder / "arm", "llama", seed=4)
        generator = torch.Generator().manual_seed(0)
        for model in ("small", "other"):
            (folder / "heads" / model).mkdir(parents=True)
            weight = torch.randn(3, 32, generator=generator) / 6
            heads = {
                "bt": LinearHead.of(weight[:1], torch.zeros(1)),
                "lore": LinearHead.of(weight, torch.ones(3), ["u0", "u1", ""]),
            }
            for name, head in heads.items():
                save_head(folder / "heads" / model / f"{name}.safetensors", head)
    lines = []
    for i in range(examples):
        history = [
            {"input": f"abstract {j} of graphs and cats", "output": TITLES[(i + j) % 4]}
            for j in range(3)
        ]
        lines.append(
            {
                "id": f"e{i}",
                "user": f"u{i % 3}",
                "prompt": f"Generate a title for paper {i} on graphs:",
                "chosen": TITLES[i % 4] + "!",
                "rejected": "Some paper" + "," * i,
                "reference": TITLES[i % 4] + "!",
                "preference": "short titles",
                "history": history,
                **({"candidates": {"third": "Nothing at all"}} if i % 2 else {}),
            }
        )
    (folder / "titles.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"
