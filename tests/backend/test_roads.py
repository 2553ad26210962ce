"""Both roads against one text at a time: a quick sample here, every class of the library slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from backend_oracles import renormalised
from every_model import PROMPTS, Naive, linear_head, outcome, reward_of
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import ScoreOptions, score
from tiny_models import make_tokenizer, save_model
from transformers import AutoModelForCausalLM

from preflamp_stats.errors import InputError

LONGROPE = {
    "max_position_embeddings": 256,
    "original_max_position_embeddings": 24,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 24,
    },
}
SAMPLE = {
    # Soft caps and windows; sinks; windows alone; scaled logits; layers that share keys.
    **dict.fromkeys(("gemma2", "gpt_oss", "gemma3_text", "granite"), "fast"),
    # ALiBi; linear attention; state space; both; no batch of unequal lengths.
    **dict.fromkeys(("bloom", "qwen3_next", "mamba", "falcon_h1", "bart"), "second"),
}


@pytest.mark.parametrize("kind", SAMPLE)
def test_a_sample_of_classes_gives_the_library_s_own_numbers(kind, tmp_path):
    found = outcome(kind, tmp_path)
    assert (found.road.split()[0], found.why) == (SAMPLE[kind], "")
