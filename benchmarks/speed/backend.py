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
from dataclasses import replace

import numpy as np
import torch
import transformers
from backend_ways import (
    CANDIDATES,
    NEW_TOKENS,
    PROMPTS,
    SHAPES,
    TOP_K,
    Shape,
    Subject,
    generate,
    guided,
    make_subject,
    naive_guided,
    naive_logprobs,
    naive_trace,
    ours,
)
from numpy.typing import NDArray
from preflamp_backend.models.model import HeadReward
from preflamp_backend.prompts.encoding import Encoding
from preflamp_backend.scoring.score import ScoreOptions, score, score_rewards
from torch.profiler import ProfilerActivity, profile

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
    mine_sums, sums, mine_traces, traces = [], [], [], []
    for encoding, row in zip(few, found, strict=True):
        mine_sums += [base.logprob for base, _ in row]
        sums += naive_logprobs(subject, encoding)
        mine_traces += [each for _, rewards in row for each in rewards.trace[0]]
        for response in encoding.continuations:
            traces += naive_trace(subject, encoding.prompt, response)
    if exact:
        np.testing.assert_allclose(mine_sums, sums, rtol=1e-4)
        np.testing.assert_allclose(mine_traces, traces, atol=1e-4)
        wanted = naive_guided(subject, subject.prompts[0], 8)
        assert ours(subject, lambda: guided(subject))()[0][:8] == wanted
        return
    exactly = replace(subject, full=copy.deepcopy(subject.full).float())
    true_sums = [value for encoding in few for value in naive_logprobs(exactly, encoding)]
    true_traces = [
        value
        for encoding in few
        for response in encoding.continuations
        for value in naive_trace(exactly, encoding.prompt, response)
    ]
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
