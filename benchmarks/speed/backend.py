"""Speed of the backend against the obvious way of doing the same, each measured in one run.

    python benchmarks/speed/backend.py                  # tiny (1 M) and mid (25 M) on the CPU
    python benchmarks/speed/backend.py --device cuda    # 0.5B and 7B shapes in bfloat16

Weights are random, so nothing is downloaded; a shape is all that speed depends on. Every pair of
ways is checked to give the same numbers before it is timed. Each time is the least of several, and
the ways take turns.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from preflamp_backend.decoding.decode import write
from preflamp_backend.decoding.options import DecodingOptions, Request
from preflamp_backend.models.heads.linear import LinearHead
from preflamp_backend.models.model import Backbone, HeadReward, LanguageModel
from preflamp_backend.models.trees import TREE_ATTENTION
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from torch.profiler import ProfilerActivity, profile

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


TRACE = 48


def least_times(ways: dict[str, Callable[[], object]], device: str, turns: int) -> dict[str, float]:
    """Seconds that each way takes at least, taking turns."""
    times = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, way in ways.items():
            start = _now(device)
            way()
            times[name] = min(times[name], _now(device) - start)
    return times


def _now(device: str) -> float:
    """Read the clock: on a CPU the time that this process computed, as others may be computing."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()


def check(subject: Subject, exact: bool) -> None:
    """See that both ways do the same work.

    In float32 they give the same numbers. In a shorter format two orders of the same sums differ,
    so there both are held against float32: ours may be no further from it than the naive way.
    """
    few = subject.encodings[:2]
    found = ours(subject, lambda: score(subject.model, few, heads=subject.heads, users=["", ""]))()
    mine_sums = [base.logprob for row in found for base, _ in row]
    mine_traces = [each for row in found for _, rewards in row for each in rewards.trace[0]]

    def naive_numbers(subject: Subject) -> tuple[list[float], list[float]]:
        responses = [(each.prompt, response) for each in few for response in each.continuations]
        sums = [value for each in few for value in naive_logprobs(subject, each)]
        return sums, [value for each in responses for value in naive_trace(subject, *each)]

    sums, traces = naive_numbers(subject)
    if exact:
        np.testing.assert_allclose(mine_sums, sums, rtol=1e-4)
        np.testing.assert_allclose(mine_traces, traces, atol=1e-4)
        wanted = naive_guided(subject, subject.prompts[0], 8)
        assert ours(subject, lambda: guided(subject))()[0][:8] == wanted
        return
    exactly = replace(subject, full=copy.deepcopy(subject.full).float())
    true_sums, true_traces = naive_numbers(exactly)
    for what, mine, naive, true in (
        ("log-probabilities", mine_sums, sums, true_sums),
        ("traces", mine_traces, traces, true_traces),
    ):
        spread = root_mean_square(np.subtract(naive, true))
        found_spread = root_mean_square(np.subtract(mine, true))
        print(f"{what}: from float32 {found_spread:.2g} (ours), {spread:.2g} (naive)", flush=True)
        # Rounding is random; a wrong position would be far more than half as much again.
        if found_spread > 1.5 * spread:
            raise SystemExit(f"{what} of the two ways differ by more than their rounding")


def root_mean_square(values: NDArray[np.float64]) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(values**2)))


def matrix_rate(shape: Shape, rows: int, device: str) -> float:
    """Floating-point operations a second of this model's largest product at a number of rows."""
    left = torch.randn(rows, shape.width, dtype=shape.dtype, device=device)
    right = torch.randn(shape.inner, shape.width, dtype=shape.dtype, device=device)
    repeats = 20
    way = {"": lambda: [left @ right.T for _ in range(repeats)]}
    return 2 * rows * shape.width * shape.inner * repeats / least_times(way, device, 7)[""]


def copy_rate(device: str) -> float:
    """Bytes a second that a copy reads and writes."""
    block = torch.empty(1 << 26, dtype=torch.float32, device=device)
    return 2 * block.nbytes / least_times({"": lambda: block.clone()}, device, 5)[""]


def busy_share(way: Callable[[], object], seconds: float) -> float:
    """Share of a way's time in which the GPU computes; the rest it waits for the next kernel."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        way()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in found.key_averages()) / 1e6 / seconds


Row = tuple[str, str, str, str, str]


def measure(name: str, device: str, turns: int) -> Iterator[Row]:
    """Rows of the table for one model, as they are measured: work, naive, ours, ratio, target."""
    shape = SHAPES[name]
    subject = make_subject(shape, device)
    check(subject, exact=shape.dtype == torch.float32)
    # Naive ways of these take long: on a GPU a forward costs its launches, however small.
    large = name != "tiny"
    few_turns = 2 if large else turns
    # A CPU is busy with few tokens; a GPU wants many.
    batch = 1024 if device == "cpu" else 16_384
    plain, traces = ScoreOptions(trace=False, batch_tokens=batch), ScoreOptions(batch_tokens=batch)
    one = subject.heads.only("head0")

    # As in a study: chosen and rejected of each example.
    pair = (tuple(range(TRACE)), tuple(range(100, 100 + TRACE)))
    traced = [Encoding(e.prompt, pair) for e in subject.encodings[: 4 if large else 16]]
    users = [""] * PROMPTS
    ways = {
        "naive": lambda: [naive_trace(subject, e.prompt, each) for e in traced for each in pair],
        "ours": ours(subject, lambda: score_rewards(one, traced, users=users, options=traces)),
    }
    times = least_times(ways, device, few_turns)
    yield row(f"reward traces of pairs, {TRACE} tokens", len(traced), "pairs/s", times, "≥ 50")

    ways = {
        "naive": lambda: [naive_logprobs(subject, e) for e in subject.encodings],
        "ours": ours(subject, lambda: score(subject.model, subject.encodings, options=plain)),
    }
    times = least_times(ways, device, turns)
    work = f"log-probabilities, {CANDIDATES} candidates a prompt"
    yield row(work, PROMPTS, "prompts/s", times, "≥ 1.7")
    scoring_time = times["ours"]

    share = 1 if large else 4
    ways = {
        "naive": lambda: [naive_guided(subject, p, NEW_TOKENS) for p in subject.prompts[:share]],
        "ours": ours(subject, lambda: guided(subject)),
        "generate": lambda: generate(subject),
    }
    guiding = least_times(ways, device, few_turns)
    work = f"guided decoding, k = {TOP_K}, batch {PROMPTS}, against"
    tokens = PROMPTS * NEW_TOKENS
    times = {"naive": guiding["naive"] * PROMPTS / share, "ours": guiding["ours"]}
    yield row(f"{work} re-encoding (ARGS)", tokens, "tok/s", times, "≥ 25")
    times = {"naive": guiding["generate"], "ours": guiding["ours"]}
    target = "≥ 0.40 (0.70 on a GPU)"
    yield row(f"{work} plain greedy `generate`", tokens, "tok/s", times, target)

    def scored(heads: HeadReward) -> Callable[[], object]:
        everything = {"heads": heads, "users": users, "options": traces}
        return ours(subject, lambda: score(subject.model, subject.encodings, **everything))

    times = least_times({"one": scored(one), "eight": scored(subject.heads)}, device, turns)
    figures = (f"{times['one']:.3g} s (1)", f"{times['eight']:.3g} s (8)")
    cost = f"{times['eight'] / times['one']:.2f}"
    yield ("8 methods on one backbone, against 1", *figures, cost, "≤ 1.3")
    yield from _use_of_the_machine(subject, shape, device, guiding, scoring_time)


def _use_of_the_machine(
    subject: Subject, shape: Shape, device: str, guiding: dict[str, float], scoring_time: float
) -> Iterator[Row]:
    """How near each way comes to what the machine can multiply and read."""
    # Parameters that every token passes through, embeddings left out.
    layers = sum(p.numel() for p in subject.full.base_model.layers.parameters())
    guided_rows = PROMPTS * TOP_K
    tokens = sum(len(encoding) for encoding in subject.encodings)
    step, plain_step = guiding["ours"] / NEW_TOKENS, guiding["generate"] / NEW_TOKENS
    for work, count, seconds, rows in (
        (f"guided decoding, {guided_rows} tokens a step", guided_rows, step, guided_rows),
        (f"plain `generate`, {PROMPTS} tokens a step", PROMPTS, plain_step, PROMPTS),
        ("scoring", tokens, scoring_time, 1024),
    ):
        done, possible = 2 * layers * count / seconds, matrix_rate(shape, rows, device)
        yield _of_possible(f"matrix rate in {work}", "GFLOP/s", done, possible)
    read = layers * shape.dtype.itemsize / step
    work = "memory rate in guided decoding, weights read once a step"
    yield _of_possible(work, "GB/s", read, copy_rate(device))
    if device == "cuda":
        mine = busy_share(ours(subject, lambda: guided(subject)), guiding["ours"])
        theirs = busy_share(lambda: generate(subject), guiding["generate"])
        work = "share of the time in which the GPU computes, `generate` and guided"
        yield (work, f"{theirs:.2f}", f"{mine:.2f}", "", "")


def _of_possible(work: str, unit: str, done: float, possible: float) -> Row:
    figures = (f"{possible / 1e9:.4g} {unit} is possible", f"{done / 1e9:.4g} {unit}")
    return (work, *figures, f"{done / possible:.2f}", "")


def row(work: str, count: int, unit: str, times: dict[str, float], target: str) -> Row:
    """Format a row of the table from two times."""
    naive, mine = count / times["naive"], count / times["ours"]
    return work, f"{naive:.4g} {unit}", f"{mine:.4g} {unit}", f"{mine / naive:.2f}", target


def main() -> None:
    """Measure, and print a Markdown table a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--models", help="names by comma, of " + ", ".join(SHAPES))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    choices = parser.parse_args()
    torch.set_num_threads(choices.threads)
    transformers.logging.set_verbosity_error()
    default = "tiny,mid" if choices.device == "cpu" else "0.5B,7B"
    where = torch.cuda.get_device_name() if choices.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {where}, ", end="")
    print(f"{torch.get_num_threads()} thread(s)")
    for name in (choices.models or default).split(","):
        print(f"\n{name}: {SHAPES[name]}\n")
        print("| work | naive or possible | ours | ratio | target |\n|---|---|---|---|---|")
        for line in measure(name, choices.device, choices.turns):
            print("| " + " | ".join(line) + " |", flush=True)


if __name__ == "__main__":
    main()
