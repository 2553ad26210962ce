"""Features of preference pairs from a frozen backbone, computed once for all methods and seeds.

A pair is one tree: its prompt, and both responses as branches. Pairs are read in parts of a fixed
size, and each part in batches that depend on nothing but its pairs; on a CPU several parts are read
at a time, each by one thread. So the features are the same to the bit whatever the number of
threads and wherever the reading was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from preflamp_backend.data.examples import Example
from preflamp_backend.faults import fault, in_example
from preflamp_backend.files.tensors import read_tensors, write_tensors
from preflamp_backend.files.text import code_hash, json_hash
from preflamp_backend.models.loading import ModelSource, identify
from preflamp_backend.models.model import Backbone
from preflamp_backend.models.repeatable import one_thread
from preflamp_backend.prompts.encoding import Encoding, PromptFormat, encode, suffix_ids
from preflamp_backend.scoring.forward import Forward, in_batches


@dataclass(frozen=True, eq=False)
class PairFeatures:
    """Pairs of responses, of which a user chose one, as hidden states.

    Attributes
    ----------
    users : tuple of str
        Who chose, a name a pair.
    chosen, rejected : Tensor, (pairs, width), float32
        Hidden state of each response's last token.
    prompt : Tensor, (pairs, width), float32
        Hidden state of the prompt's last token.

    Raises
    ------
    InputError
        If the shapes do not fit one another, or a number is not finite.
    """

    users: tuple[str, ...]
    chosen: Tensor
    rejected: Tensor
    prompt: Tensor

    def __post_init__(self) -> None:
        shapes = {each.shape for each in (self.chosen, self.rejected, self.prompt)}
        if len(shapes) > 1 or self.chosen.ndim != 2 or len(self.users) != len(self.chosen):
            given = ", ".join(str(tuple(shape)) for shape in sorted(shapes))
            raise fault(
                f"has features of shape {given} for {len(self.users)} users",
                "give chosen, rejected and prompt as (pairs, width), and a user for each pair",
            )
        for name in _STATES:
            bad = ~torch.isfinite(getattr(self, name)).all(-1)
            if bad.any():
                raise fault(
                    f"is not finite in {int(bad.sum())} of {len(bad)} pairs, first in pair "
                    f"{int(bad.nonzero()[0, 0])}",
                    "check the base model's weights, and prefer bfloat16 to float16",
                    variable=name,
                )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.chosen.shape[-1]

    @property
    def both(self) -> Tensor:
        """Chosen and rejected side by side, (pairs, 2, width)."""
        return torch.stack([self.chosen, self.rejected], 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Users, each once, in alphabetical order, so that the order of pairs names no row."""
        return tuple(sorted(set(self.users)))

    def select(self, rows: Tensor | Sequence[int]) -> PairFeatures:
        """Take some of the pairs; ``rows`` (n,), int64."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        users = tuple(self.users[row] for row in index.tolist())
        return PairFeatures(users, self.chosen[index], self.rejected[index], self.prompt[index])

    def by_user(self) -> dict[str, Tensor]:
        """Pairs of each user, as rows in ascending order."""
        rows: dict[str, list[int]] = {name: [] for name in self.names}
        for row, user in enumerate(self.users):
            rows[user].append(row)
        return {user: torch.tensor(each) for user, each in rows.items()}

    def of(self, user: str) -> PairFeatures:
        """Pairs of one user, perhaps none."""
        return self.select([row for row, name in enumerate(self.users) if name == user])

    def swapped(self) -> PairFeatures:
        """Pairs with chosen and rejected exchanged."""
        return PairFeatures(self.users, self.rejected, self.chosen, self.prompt)


def split_off(users: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split a share of each user's rows off, at random; users with few rows keep all.

    Parameters
    ----------
    users : sequence of str
        One a row.
    share : float
        Between 0 and 1, of each user's rows, rounded down.
    seed : int

    Returns
    -------
    kept, held_out : list of int
        Rows in ascending order.

    Raises
    ------
    InputError
        If no user has rows enough for one to be split off.

    Examples
    --------
    >>> kept, held_out = split_off(["a"] * 12 + ["b"] * 8, 0.25, seed=0)
    >>> len(kept), len(held_out)
    (15, 5)
    """
    by_user: dict[str, list[int]] = {user: [] for user in sorted(set(users))}
    for row, user in enumerate(users):
        by_user[user].append(row)
    generator = torch.Generator().manual_seed(seed)
    away: set[int] = set()
    for rows in by_user.values():
        order = torch.randperm(len(rows), generator=generator).tolist()
        away |= {rows[i] for i in order[: int(share * len(rows))]}
    if not away:
        raise fault(
            f"no user has the {math.ceil(1 / share)} pairs of which one could be held out",
            "name a file of held-out pairs",
            variable="held_out",
        )
    return [row for row in range(len(users)) if row not in away], sorted(away)


Report = Callable[[int], None]

_STATES = ("chosen", "rejected", "prompt")

_PART = 512
"""Pairs that are read, and written when the reading is stopped in between, at a time."""

_READERS = (
    *(f"models/{name}.py" for name in ("model", "rows", "sequences", "trees")),
    *("prompts/encoding.py", "scoring", "training/features.py"),
)
"""Modules that turn texts into hidden states; a change of theirs makes features anew."""


def usable_pairs(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """Leave out what teaches nothing: examples without a pair, equal responses, repetitions.

    A pair and the same pair with the choice reversed are both kept: users do contradict themselves.

    Parameters
    ----------
    examples : sequence of Example

    Returns
    -------
    list of Example
    list of str
        A sentence for each reason for which some were left out, with their number.

    Examples
    --------
    >>> pair = {"chosen": "a", "rejected": "b"}
    >>> rows = [Example("1", "u", "x", pair), Example("2", "u", "x", pair),
    ...         Example("3", "u", "x", {"chosen": "a", "rejected": "a"})]
    >>> kept, notes = usable_pairs(rows)
    >>> [example.id for example in kept], notes
    (['1'], ['1 pair with two equal responses left out', '1 repeated pair left out'])
    """
    kept: list[Example] = []
    seen: set[tuple[str, ...]] = set()
    bare = equal = repeated = 0
    for example in examples:
        if not {"chosen", "rejected"} <= set(example.candidates):
            bare += 1
            continue
        if example.said[2] == example.said[3]:
            equal += 1
        elif example.said in seen:
            repeated += 1
        else:
            seen.add(example.said)
            kept.append(example)
    counts = {"example# without a pair": bare, "pair# with two equal responses": equal}
    counts["repeated pair#"] = repeated
    notes = [
        f"{count} {what.replace('#', 's' if count > 1 else '')} left out"
        for what, count in counts.items()
        if count
    ]
    return kept, notes


def pair_features(
    backbone: Backbone,
    examples: Sequence[Example],
    form: PromptFormat,
    *,
    prefixes: int = 0,
    batch_tokens: int = 8192,
) -> PairFeatures:
    """Read the features of pairs.

    Parameters
    ----------
    backbone : Backbone
        Frozen.
    examples : sequence of Example
        With ``chosen`` and ``rejected``.
    form : PromptFormat
        How prompts and responses become ids, and what is read after a response (``suffix``).
    prefixes : int
        Prefixes of each pair besides the whole responses, as pairs of their own: the first n
        tokens of both, n at equal steps up to the length of the shorter (at most ``prefixes`` of
        them). 0, the default, is how the methods' papers train. Guided decoding reads heads at
        prefixes, which a head that never saw one judges by extrapolation [1]_.
    batch_tokens : int
        Tokens a batch.

    Returns
    -------
    PairFeatures
        Of whole responses in the order of the examples, then of prefixes in the same order.

    References
    ----------
    .. [1] A. Rashid, R. Wu, J. Grosse, A. Kristiadi, P. Poupart (2024). A Critical Look At
       Tokenwise Reward-Guided Text Generation. arXiv:2406.07780.
    """
    suffix = suffix_ids(backbone.tokenizer, form)
    rows = [_tree(backbone, example, form, suffix, prefixes) for example in examples]

    @torch.no_grad()
    def read(batch: list[Encoding]) -> list[Tensor]:
        forward = Forward(backbone, batch, room=0)
        packed = forward.packed
        ends = torch.tensor(forward.lengths, device=packed.slot.device).cumsum(0) - 1
        last = forward.hidden[packed.row[ends], packed.slot[ends]].float().cpu()
        rows_ = torch.arange(len(batch), device=packed.last.device)
        prompts = forward.hidden[rows_, packed.last].float().cpu()
        if not bool(last.isfinite().all() and prompts.isfinite().all()):
            dtype = str(backbone.network.dtype).removeprefix("torch.")
            what = f"the base model gives hidden states that are not finite numbers in {dtype}"
            raise fault(what, "set dtype = 'bfloat16' or 'float32'", variable="dtype")
        found = zip(prompts.split(1), last.split(forward.branches), strict=True)
        return [torch.cat(each) for each in found]

    states = in_batches(rows, len, read, budget=batch_tokens)
    order = [(row, 1) for row in range(len(states))]
    order += [
        (row, branch) for row, each in enumerate(states) for branch in range(3, len(each) - 1, 2)
    ]
    width = int(backbone.network.config.get_text_config().hidden_size)

    def stack(taken: list[Tensor]) -> Tensor:
        return torch.stack(taken) if taken else torch.empty(0, width)

    return PairFeatures(
        tuple(examples[row].user for row, _ in order),
        stack([states[row][branch] for row, branch in order]),
        stack([states[row][branch + 1] for row, branch in order]),
        stack([states[row][0] for row, _ in order]),
    )


def _tree(
    backbone: Backbone, example: Example, form: PromptFormat, suffix: Sequence[int], prefixes: int
) -> Encoding:
    """Prompt, with the pair and then pairs of prefixes as branches, each with the suffix."""
    pair = [example.candidates["chosen"], example.candidates["rejected"]]
    tokenizer, context, room = backbone.tokenizer, backbone.context, len(suffix)
    with in_example(example.id):
        whole = encode(tokenizer, example.prompt, pair, form, context=context, room=room)
    branches = list(whole.continuations)
    shorter = min(map(len, branches))
    steps = {shorter * step // (prefixes + 1) for step in range(1, prefixes + 1)}
    for length in sorted(steps - {0}):
        branches += [ids[:length] for ids in whole.continuations]
    return Encoding(whole.prompt, tuple((*ids, *suffix) for ids in branches))


@dataclass(frozen=True)
class FeatureStore:
    """A folder in which features are kept under a hash of all that makes them.

    Attributes
    ----------
    folder : Path
    batch_tokens : int
    prefixes : int
    threads : int
        Parts read at a time on a CPU; 0 takes as many as torch has threads.
    """

    folder: Path
    batch_tokens: int = 8192
    prefixes: int = 0
    threads: int = 0

    def key(self, source: ModelSource, examples: Sequence[Example], form: PromptFormat) -> str:
        """SHA-256 of the model, the pairs, the prompt's form, the options and the code."""
        made_by = {
            "model": identify(source),
            "pairs": [each.said for each in examples],
            "form": asdict(form),
            "prefixes": self.prefixes,
            "batch_tokens": self.batch_tokens,
            "code": code_hash(*_READERS),
        }
        return json_hash(made_by)

    def read(
        self,
        source: ModelSource,
        examples: Sequence[Example],
        form: PromptFormat,
        backbone: Callable[[], Backbone],
        report: Report | None = None,
    ) -> PairFeatures:
        """Features of pairs: from the folder, or read now and kept there.

        Parameters
        ----------
        source : ModelSource
        examples : sequence of Example
        form : PromptFormat
        backbone : callable
            Loads the model; called only where something is missing.
        report : callable, optional
            Called with the number of pairs that have been read since the last call.

        Returns
        -------
        PairFeatures
        """
        report = report or (lambda count: None)
        key = self.key(source, examples, form)
        path = self.folder / f"{key[:40]}.safetensors"
        if path.exists():
            report(len(examples))
            return _load(path)
        parts = [examples[at : at + _PART] for at in range(0, len(examples), _PART)]
        paths = [self.folder / f"{key[:40]}.{i}.safetensors" for i in range(len(parts))]
        missing = [i for i, each in enumerate(paths) if not each.exists()]
        report(sum(len(part) for i, part in enumerate(parts) if i not in missing))
        if missing:
            found = backbone()

            def read_part(i: int) -> int:
                options = {"prefixes": self.prefixes, "batch_tokens": self.batch_tokens}
                _save(paths[i], pair_features(found, parts[i], form, **options))
                return len(parts[i])

            with _readers(found.device, self.threads) as run:
                for count in run(read_part, missing):
                    report(count)
        features = _joined([_load(each) for each in paths], [len(part) for part in parts])
        _save(path, features)
        for each in paths:
            each.unlink()
        return features


@contextmanager
def _readers(
    device: torch.device, threads: int
) -> Iterator[Callable[[Callable[[int], int], list[int]], Iterator[int]]]:
    """Run parts: on a CPU side by side, a thread each; on a GPU one after another."""
    if device.type != "cpu":
        yield lambda read, parts: map(read, parts)
        return
    count = threads or torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(count) as pool:
        try:
            yield lambda read, parts: pool.map(read, parts)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _joined(parts: Sequence[PairFeatures], counts: Sequence[int]) -> PairFeatures:
    """Whole responses of all parts first, then all prefixes."""
    whole = [part.select(range(count)) for part, count in zip(parts, counts, strict=True)]
    rest = [part.select(range(count, len(part))) for part, count in zip(parts, counts, strict=True)]
    every = [*whole, *rest]
    users = tuple(user for part in every for user in part.users)
    joined = (torch.cat([getattr(part, name) for part in every]) for name in _STATES)
    return PairFeatures(users, *joined)


def _save(path: Path, features: PairFeatures) -> None:
    tensors = {name: getattr(features, name) for name in _STATES}
    write_tensors(path, tensors, {"users": list(features.users)})


def _load(path: Path) -> PairFeatures:
    tensors, about = read_tensors(path)
    return PairFeatures(tuple(about["users"]), *(tensors[name] for name in _STATES))
