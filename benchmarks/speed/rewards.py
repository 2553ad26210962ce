"""Time of training reward models: features of pairs once, every method, a new user.

    python benchmarks/speed/rewards.py                    # 10,000 pairs, 1 M parameters
    python benchmarks/speed/rewards.py --pairs 1000

Weights are random and texts are of random words, so nothing is downloaded; preferences are planted
in the features, so that the methods have something to learn and do not stop at once. Beside the
time on the clock stands the processor's, which others on the machine lengthen less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from preflamp_backend.data.examples import Example
from preflamp_backend.models.loading import ModelSource, load_language_model
from preflamp_backend.prompts.encoding import PromptFormat
from preflamp_backend.rewards.layered import PalOptions
from preflamp_backend.training.features import FeatureStore, PairFeatures, split_off
from preflamp_backend.training.user_rows import Scaling, mean_log_loss, predicted
from preflamp_backend.training_study.methods import adapt_user, fit
from tokenizers import Tokenizer, models, pre_tokenizers

from backend import SHAPES, qwen

USERS, TYPES, VOCABULARY, CONTEXT_PAIRS = 150, 4, 2000, 8
METHODS = {
    "bradley-terry": ("bradley-terry", None),
    "LoRe": ("lore", None),
    "PReF": ("pref", None),
    "PAL A": ("pal", PalOptions(variant="a")),
    "PAL B": ("pal", PalOptions(variant="b")),
    "VPL": ("vpl", None),
}


def save_model(folder: Path) -> ModelSource:
    """Write a random Qwen2 of 1 M parameters, with a tokenizer of whole words."""
    words = {f"w{i}": i for i in range(VOCABULARY)}
    raw = Tokenizer(models.WordLevel(words, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="w1", pad_token="w2"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = qwen(SHAPES["tiny"], eos_token_id=1, pad_token_id=2)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return ModelSource(str(folder), device="cpu")


def draw_examples(pairs: int, rng: np.random.Generator) -> list[Example]:
    """Prompts of 40 to 100 tokens with two responses of 20 to 48, users in turn."""

    def text(low: int, high: int) -> str:
        return " ".join(f"w{i}" for i in rng.integers(3, VOCABULARY, rng.integers(low, high)))

    def pair() -> dict[str, str]:
        return {"chosen": text(20, 48), "rejected": text(20, 48)}

    return [Example(str(i), f"u{i % USERS:03d}", text(40, 100), pair()) for i in range(pairs)]


def plant(pairs: PairFeatures, rng: np.random.Generator) -> tuple[PairFeatures, float]:
    """Let each user choose by the reward of a type, and the Bayes limit of the accuracy."""
    scaled = Scaling.of_pairs(pairs)(pairs)
    weights = torch.tensor(rng.normal(size=(TYPES, pairs.width)) / pairs.width**0.5).float()
    types = torch.tensor([int(user[1:]) % TYPES for user in pairs.users])
    margin = 2 * ((scaled.chosen - scaled.rejected) * weights[types]).sum(-1)
    swap = torch.tensor(rng.random(len(pairs))) > torch.sigmoid(margin)
    chosen = torch.where(swap[:, None], pairs.rejected, pairs.chosen)
    rejected = torch.where(swap[:, None], pairs.chosen, pairs.rejected)
    limit = torch.sigmoid(margin.abs()).mean().item()
    return PairFeatures(pairs.users, chosen, rejected, pairs.prompt), limit


class Clock:
    """Seconds since it was made: on the clock, and of all processors together."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> np.ndarray:
        """Return both, (2,)."""
        return np.array([time.perf_counter(), time.process_time()]) - self._start


def main() -> None:
    """Time every part and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        source = save_model(Path(folder) / "model")
        examples = draw_examples(chosen.pairs, rng)

        load = lambda: load_language_model(source).backbone  # noqa: E731
        clock = Clock()
        store = FeatureStore(Path(folder) / "features")
        read = store.read(source, examples, PromptFormat(), load)
        total = clock.read()
        clock = Clock()
        store.read(source, examples, PromptFormat(), load)
        again = clock.read()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"features of {len(read)} pairs: {total[0]:.0f} s, processors {total[1]:.0f} s")
    print(f"again, from the folder: {again[0]:.2f} s", flush=True)
    pairs, limit = plant(read, rng)
    new = [row for row, user in enumerate(pairs.users) if int(user[1:]) >= USERS - 10]
    seen = sorted(set(range(len(pairs))) - set(new))
    train_rows, held_rows = split_off([pairs.users[row] for row in seen], 0.1, chosen.seed)
    train = pairs.select([seen[row] for row in train_rows])
    held_out = pairs.select([seen[row] for row in held_rows])
    fresh = pairs.select(new)
    print(f"Bayes limit of the accuracy: {limit:.3f}\n")
    columns = "| method | fit, s | processor, s | epochs | log-loss | accuracy | new user, ms |"
    print(columns, "|---|---|---|---|---|---|---|", sep="\n")
    for label, (name, options) in METHODS.items():
        epochs: list[int] = []
        clock = Clock()
        note = lambda epoch, seen=epochs: seen.append(epoch.number)  # noqa: E731
        head = fit(name, train, held_out, options, seed=chosen.seed, report=note)
        took = clock.read()
        total += took
        times = []
        for user, rows in fresh.by_user().items():
            mine = fresh.select(rows[:CONTEXT_PAIRS])
            clock = Clock()
            adapt_user(head, user, mine)
            times.append(clock.read()[1])
        accuracy = (predicted(head, held_out) > 0).double().mean().item()
        loss = mean_log_loss(head, held_out)
        print(
            f"| {label} | {took[0]:.1f} | {took[1]:.1f} | {epochs[-1]} | {loss:.3f} "
            f"| {accuracy:.3f} | {1e3 * float(np.median(times)):.0f} |",
            flush=True,
        )
    print(f"\nfeatures and all methods: {total[0]:.0f} s, processors {total[1]:.0f} s")
    print("target: 300 s for 10,000 pairs on two cores; 50 ms a new user (processor)")


if __name__ == "__main__":
    main()
