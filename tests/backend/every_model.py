"""Every causal language model that the installed transformers has, made small, and tried.

``python tests/backend/every_model.py > outcomes.jsonl`` tries all; the same with
``--page outcomes.jsonl`` writes the table of ``docs/models.md``.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from preflamp_backend.decoding.decode import Request, decode
from preflamp_backend.decoding.options import DecodingOptions
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.models.model import HeadReward, RowRoad
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import score
from tiny_models import make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from preflamp_stats.errors import InputError

EVERY = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))

_LAYERS = 4

SMALL: dict[str, Any] = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "hidden_dim", "embedding_dim"), 32
    ),
    **dict.fromkeys(
        ("embedding_size", "word_embed_proj_dim", "lru_width", "attention_hidden_size"), 32
    ),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "d_ff"), 64),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "dff", "dim_ff", "d_inner"), 64),
    **dict.fromkeys(("feed_forward_size", "mlp_hidden_size", "intermediate_size_mlp"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "shared_intermediate_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), _LAYERS),
    **dict.fromkeys(("decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "kv_n_heads"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim", "d_kv"), 8),
    "vocab_size": 400,
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 256),
    **dict.fromkeys(("max_sequence_length", "context_length"), 256),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_num_experts", "num_moe_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"), 2),
    **dict.fromkeys(("n_shared_experts", "num_shared_experts", "n_group", "topk_group"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    "linear_head_dim": 8,
    "linear_num_heads": 4,
    "num_experts_per_token": 2,
    **dict.fromkeys(("indexer_n_heads", "indexer_kv_heads", "index_n_heads"), 2),
    **dict.fromkeys(("indexer_head_dim", "index_head_dim"), 8),
    **dict.fromkeys(("index_topk", "indexer_budget", "keep_window_size"), 128),
    **dict.fromkeys(("sliding_window_size", "local_attention"), 16),
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    **dict.fromkeys(("sliding_window", "window_size", "attention_window_size"), 12),
    "attention_chunk_size": 12,
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 8),
    **dict.fromkeys(("mamba_d_state", "ssm_state_size", "state_size"), 8),
    "mamba_expand": 2,
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), 8),
    "mamba_d_ssm": 64,
    **dict.fromkeys(("mamba_n_groups", "n_groups", "mamba_ngroups"), 1),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0),
    **dict.fromkeys(("initializer_range", "init_std"), 0.2),
}
"""What a field of that name becomes in every class that has it."""

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_LATENT = {"num_experts_per_tok": 2, "n_routed_experts": 4, "n_shared_experts": 1}
_MIXED = ["linear_attention", "full_attention"] * 2
_GEMMA = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 400}

_SLIDING = {"layer_types": ["sliding_attention", "full_attention"] * 2}

EXCEPTIONS: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {
        "num_expert_group": 1,
        "topk_group": 1,
    },
    "bamba": {"attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 4},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {"sliding_attention": _ROPE, "full_attention": _ROPE},
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8},
        "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "deepseek_v2": _LATENT,
    "dots1": {**_LATENT, **_SLIDING},
    "gemma3n_text": {
        **_GEMMA,
        "num_kv_shared_layers": 2,
        "laurel_rank": 8,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "gemma4_text": {**_GEMMA, "per_layer_config": {"1": {"head_dim": 16}, "3": {"head_dim": 16}}},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": _MIXED},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8, "num_experts": 4, "moe_topk": 2},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    **dict.fromkeys(("laguna", "mellum"), _SLIDING),
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 128,
        "indexer_compress_ratio": 4,
        "hc_lowrank": 8,
    },
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [16, 16]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "mamba_dt_rank": 4,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "mamba_headdim": 8,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
    },
    "zaya": {"num_experts_per_tok": 1},
}
"""Fields that a class needs otherwise."""


def small_config(kind: str, **changes: Any) -> Any:
    """Make a class's default configuration small, its parts too."""
    config = AutoConfig.for_model(kind)
    return _shrunk(config, {**EXCEPTIONS.get(kind, {}), **changes})


def _shrunk(config: Any, changes: dict[str, Any]) -> Any:
    known = config.to_dict()
    wanted = {}
    for name, value in {**SMALL, **changes}.items():
        present = name in known
        if name in changes or (present and _alike(known[name], value)):
            wanted[name] = value
    if "kv_lora_rank" in known and "num_key_value_heads" in wanted:
        wanted["num_key_value_heads"] = 4
    if getattr(config, "is_decoder", True) is False:
        wanted.setdefault("is_decoder", True)
    layers = known.get("num_hidden_layers")
    for name, value in known.items():
        each = isinstance(value, list) and value and len(value) == layers
        if each and name not in wanted and all(isinstance(kind, str) for kind in value):
            wanted[name] = _one_of_each(value, _LAYERS)
    for name in getattr(config, "sub_configs", {}):
        part = getattr(config, name, None)
        if part is not None and name not in changes:
            own = EXCEPTIONS.get(part.model_type, {})
            wanted[name] = _shrunk(part, own).to_dict()
    return type(config)(**wanted)


def _alike(old: Any, new: Any) -> bool:
    """Whether a default may be replaced: absent ones of token ids too, other absences not."""
    return type(old) is type(new) or (isinstance(old, float) and isinstance(new, int))


def _one_of_each(kinds: list[str], count: int) -> list[str]:
    """As many layers, of all kinds that the default has."""
    found = list(dict.fromkeys(kinds))
    return (found * count)[:count]


def build(kind: str, **changes: Any) -> Any:
    """A random model in float32 whose every weight matters."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(small_config(kind, **changes), dtype=torch.float32)
    for parameter in model.parameters():
        if not bool(parameter.isfinite().all()) or (
            parameter.ndim > 1 and parameter.numel() > 1 and parameter.std() < 0.05
        ):
            parameter.data.normal_(0, 0.2)
    return model.eval()


PROMPTS = (tuple(range(20, 40)), (50, 51, 52), tuple(range(60, 75)))
RESPONSES = ((100, 101, 102, 103, 104, 105), (110, 111))


@dataclass(frozen=True)
class Outcome:
    """What became of a class.

    Attributes
    ----------
    kind : str
        Model type, as configurations name it.
    road : str
        ``fast``, ``stacked``, ``equal``, ``anew`` (second road: from caches of any lengths, of
        equal ones, without cache), ``refused``, ``unbuilt``, ``wrong`` or ``crash``.
    why : str
        What is wrong, or the reason.
    note : str
        What else was seen.
    """

    kind: str
    road: str
    why: str = ""
    note: str = ""


def road_name(rows: RowRoad | None) -> str:
    if rows is None:
        return "fast"
    return "anew" if not rows.cached else "stacked" if rows.padded else "equal"


class Naive:
    """A model as the library runs it, one text at a time and nothing kept."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.seen: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.inference_mode()
    def last(self, ids: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the next token, and the last token's hidden state."""
        if ids not in self.seen:
            text = torch.tensor([ids])
            logits = self.model(input_ids=text).logits
            logits = logits[0, -1] if logits.ndim == 3 else logits[0]
            backbone = self.model.base_model
            backbone = self.model.model if backbone is self.model else backbone
            hidden = backbone(input_ids=text).last_hidden_state[0, -1]
            self.seen[ids] = (logits.float().log_softmax(-1), hidden)
        return self.seen[ids]


def linear_head(model: Any) -> HeadReward:
    width = model.backbone.network.config.get_text_config().hidden_size
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(1, width, generator=generator)
    head = LinearHead.of(weight, torch.zeros(1)).requires_grad_(False)
    return HeadReward(model.backbone, {"h": head})


def compare(folder: Path, steps: int = 6) -> tuple[str, str, str]:
    """Road of a saved model, what differs from the naive way ('' for nothing), and a note."""
    model = load_language_model(ModelSource(str(folder), device="cpu"))
    naive, heads = Naive(folder), linear_head(model)
    road, note = road_name(model.backbone.rows), ""
    encodings = [Encoding(prompt, RESPONSES) for prompt in PROMPTS]
    found = score(model, encodings, heads=heads, users=[""] * len(PROMPTS))
    for prompt, row in zip(PROMPTS, found, strict=True):
        for response, (base, rewards) in zip(RESPONSES, row, strict=True):
            for t, token in enumerate(response):
                expected = naive.last((*prompt, *response[:t]))[0][token].item()
                if not math.isclose(base.token_logprob[t], expected, rel_tol=1e-4, abs_tol=1e-4):
                    return road, f"log-probability {base.token_logprob[t]}, not {expected}", ""
                expected = reward_of(heads, naive.last((*prompt, *response[: t + 1]))[1])
                if not math.isclose(rewards.trace[0, t], expected, rel_tol=1e-4, abs_tol=1e-4):
                    return road, f"trace {rewards.trace[0, t]}, not {expected}", ""
    requests = [Request(str(i), Encoding(prompt)) for i, prompt in enumerate(PROMPTS)]
    guided = DecodingOptions("guided", weight=0.5, top_k=3, max_new_tokens=steps)
    plain = DecodingOptions(max_new_tokens=steps)
    for options in (guided, plain):
        written = decode(model, requests, options, reward=heads if options is guided else None)
        for prompt, each in zip(PROMPTS, written, strict=True):
            expected_ids = greedy(naive, heads, model.eos, prompt, options)
            if list(each.ids) != expected_ids:
                return road, f"{options.strategy} text {each.ids}, not {expected_ids}", ""
            if options is plain and generated(naive, prompt, steps, model.eos) != expected_ids:
                note = "generate writes otherwise than its forward of whole texts, which we follow"
    return road, "", note


@torch.inference_mode()
def reward_of(heads: HeadReward, hidden: torch.Tensor) -> float:
    none = torch.zeros(1, len(hidden))
    return heads.for_users([""], none)(hidden[None, None].float())[0, 0, 0].item()


def greedy(
    naive: Naive, heads: HeadReward, eos: tuple[int, ...], prompt: tuple[int, ...], options: Any
) -> list[int]:
    written: list[int] = []
    for _ in range(options.max_new_tokens):
        logprobs, _ = naive.last((*prompt, *written))
        ids = sorted(logprobs.topk(options.top_k or 1).indices.tolist())
        scores = [logprobs[v].item() for v in ids]
        if options.strategy == "guided":
            for i, v in enumerate(ids):
                _, hidden = naive.last((*prompt, *written, v))
                scores[i] += options.weight * reward_of(heads, hidden)
        token = ids[max(range(len(ids)), key=lambda i: scores[i])]
        if token in eos:
            break
        written.append(token)
    return written


def generated(
    naive: Naive, prompt: tuple[int, ...], steps: int, eos: tuple[int, ...]
) -> list[int] | None:
    """What ``generate`` writes; None where it does not run."""
    text = torch.tensor([prompt])
    try:
        out = naive.model.generate(
            text, attention_mask=torch.ones_like(text), max_new_tokens=steps, do_sample=False
        )
    except Exception:
        return None
    ids = out[0, len(prompt) :].tolist()
    ends = [i for i, token in enumerate(ids) if token in eos]
    return ids[: ends[0]] if ends else ids


def outcome(kind: str, folder: Path, **changes: Any) -> Outcome:
    """Build a class, save it, and hold what we make of it to the naive way."""
    reason = ""
    try:
        build(kind, **changes).save_pretrained(folder)
        make_tokenizer(bos=False).save_pretrained(folder)
    except Exception as error:
        return Outcome(kind, "unbuilt", _short(error))
    try:
        Naive(folder).last(PROMPTS[0])
    except Exception as error:
        reason = f"the library does not run it: {_short(error)}"
    try:
        road, why, note = compare(folder)
    except InputError as error:
        what = str(error).split("; take a decoder")[0].split("; name a folder")[0]
        what = what.removeprefix(f"variable {folder}: ")
        return Outcome(kind, "refused", reason or what)
    except Exception as error:
        return Outcome(kind, "crash", _short(error))
    return Outcome(kind, "wrong", f"{road}: {why}") if why else Outcome(kind, road, note=note)


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:120]}"


PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_MARKS = ("<!-- every class: begin -->", "<!-- every class: end -->")
_ROADS = {
    "fast": "fast: trees",
    "stacked": "second: rows on copies of the cache",
    "equal": "second: the same, prompts of one length at a time",
    "anew": "second: rows read anew, no cache",
}


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown of all outcomes, and what they were seen with."""

    def named(road: str) -> list[str]:
        return sorted(each.kind for each in outcomes if each.road == road)

    lines = [
        f"Seen with transformers {transformers.__version__}: {len(outcomes)} model types, "
        f"{sum(len(named(road)) for road in _ROADS)} work.",
        "",
        "| road | | model types |",
        "|---|---|---|",
    ]
    for road, words in _ROADS.items():
        kinds = ", ".join(f"`{kind}`" for kind in named(road))
        lines.append(f"| {words} | {len(named(road))} | {kinds} |")
    lines += ["", "| not run | reason |", "|---|---|"]
    reasons: dict[str, list[str]] = {}
    for each in outcomes:
        if each.road not in _ROADS:
            # Numbers differ a little from one machine to the next.
            why = re.sub(r"(: as rows it is off by| \(off by) [0-9.e+-]+\)?", "", each.why)
            why = {"unbuilt": "not built here: "}.get(each.road, "") + why.replace("|", "/")
            reasons.setdefault(why, []).append(f"`{each.kind}`")
    lines += [f"| {', '.join(kinds)} | {why} |" for why, kinds in sorted(reasons.items())]
    if noted := sorted(f"`{each.kind}`" for each in outcomes if each.note):
        lines += [
            "",
            "Their own `generate` writes otherwise than their forward of whole texts, "
            f"which we follow: {', '.join(noted)}.",
        ]
    return "\n".join(lines)


def committed() -> str:
    """What the page says."""
    return PAGE.read_text(encoding="utf-8").split(_MARKS[0])[1].split(_MARKS[1])[0].strip()


def main() -> None:
    """Print outcomes as JSON lines; or, with ``--page FILE``, write those of a file to the page."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--page"]:
        found = [Outcome(**json.loads(line)) for line in Path(sys.argv[2]).read_text().splitlines()]
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(_MARKS[0])
        after = rest.partition(_MARKS[1])[2]
        text = "\n\n".join([before.rstrip(), _MARKS[0], table(found), _MARKS[1] + after])
        PAGE.write_text(text, encoding="utf-8")
        return
    for kind in sys.argv[1:] or EVERY:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(outcome(kind, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
