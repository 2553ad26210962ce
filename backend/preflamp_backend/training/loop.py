"""One training loop for every reward model that learns from features.

Everything that a run depends on is its data, its options and its seed: random numbers come from one
:class:`torch.Generator`, and torch computes on one thread meanwhile, so that no sum is split in
another way where there are more cores, and on a GPU by kernels that add in one order. A run that
was stopped goes on from its last checkpoint and ends with the same bytes.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from preflamp_backend.faults import fault
from preflamp_backend.files.tensors import read_tensors, write_tensors
from preflamp_backend.models.repeatable import one_thread, repeatable
from preflamp_backend.options import Options, above_zero, at_least
from preflamp_backend.training.features import PairFeatures

Loss = Callable[[Tensor, torch.Generator, float], Tensor]
"""(rows of pairs, random numbers, share of the epochs done) to the mean loss over the rows."""

Parts = Callable[[Tensor], Sequence[Tensor]]
"""Rows of a batch to parts of them, whose gradients are summed one after another."""

_CHECKPOINT_SECONDS = 5.0
"""Time between two checkpoints at least; how often one is written changes no result."""

_LBFGS_STEPS = 5
"""Steps of L-BFGS an epoch; its memory starts anew with each, so a checkpoint needs none of it."""


Optimizer = Literal["adamw", "lbfgs"]


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How a reward model is trained.

    Parameters
    ----------
    optimizer : {"adamw", "lbfgs"}
        In batches, or on all pairs at once.
    epochs : int
        At most; an epoch of ``lbfgs`` is 5 steps.
    batch_size : int
        Pairs a batch of ``adamw``.
    learning_rate : float
        Of ``adamw``.
    weight_decay : float
        Of ``adamw``, on what users share.
    patience : int
        Epochs without a lower log-loss on held-out pairs after which training stops; the best
        epoch is kept.
    """

    optimizer: Optimizer = "adamw"
    epochs: int = at_least(1, 200)
    batch_size: int = at_least(1, 256)
    learning_rate: float = above_zero(0.003)
    weight_decay: float = at_least(0, 0.01)
    patience: int = at_least(1, 10)


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes
    ----------
    number : int
        From 1.
    epochs : int
        At most so many.
    held_out : float
        Log-loss on held-out pairs, nats.
    best : float
        The lowest so far.
    """

    number: int
    epochs: int
    held_out: float
    best: float


Report = Callable[[Epoch], None]


class Training(ABC):
    """What every task has in common: :func:`train` by its options, seed, report and checkpoint."""

    options: Any
    seed: int
    report: Report | None
    checkpoint: Path | None

    @abstractmethod
    def key(self, kind: str) -> str:
        """SHA-256 of all that a run depends on; a checkpoint of another one is not taken up."""

    def fit(
        self,
        kind: str,
        module: nn.Module,
        loss: Loss,
        unseen: Callable[[], float],
        pairs: int,
        parts: Parts | None = None,
    ) -> None:
        """Train a module by :func:`train`; ``unseen`` is the loss on held-out pairs."""
        how: dict[str, Any] = {"seed": self.seed, "report": self.report, "key": self.key(kind)}
        how |= {"parts": parts}
        train(module, loss, unseen, pairs, self.options, checkpoint=self.checkpoint, **how)


@dataclass(frozen=True, eq=False)
class Task(Training):
    """What a reward model on features learns from, and how.

    Attributes
    ----------
    pairs, held_out : PairFeatures
        To train on, and to stop early by.
    options : TrainingOptions
        Of the method's own class.
    seed : int
        Of the start, of batches and of whatever else is drawn.
    report : callable, optional
        Called after every epoch.
    checkpoint : Path, optional
        Where the run is kept meanwhile.
    """

    pairs: PairFeatures
    held_out: PairFeatures
    options: Any
    seed: int = 0
    report: Report | None = None
    checkpoint: Path | None = None

    def key(self, kind: str) -> str:
        """SHA-256 of kind, options, seed and pairs."""
        text = dumps([kind, asdict(self.options), self.seed], sort_keys=True)
        digest = sha256(text.encode())
        for each in (self.pairs, self.held_out):
            digest.update(dumps(each.users).encode())
            for states in (each.chosen, each.rejected, each.prompt):
                digest.update(states.contiguous().numpy().tobytes())
        return digest.hexdigest()


def train(
    module: nn.Module,
    loss: Loss,
    held_out_loss: Callable[[], float],
    pairs: int,
    options: TrainingOptions,
    *,
    seed: int,
    report: Report | None = None,
    checkpoint: Path | None = None,
    key: str = "",
    parts: Parts | None = None,
) -> None:
    """Train a module and leave in it what did best on held-out pairs.

    The start counts as an epoch: a module that learns nothing that holds for other pairs stays as
    it was.

    Parameters
    ----------
    module : nn.Module
        A parameter named ``user`` is spared the weight decay.
    loss : callable
        See :data:`Loss`.
    held_out_loss : callable
        Log-loss on held-out pairs with the module as it is.
    pairs : int
        Number of pairs to train on.
    options : TrainingOptions
    seed : int
        Of batches and of whatever ``loss`` draws.
    report : callable, optional
        Called after every epoch.
    checkpoint : Path, optional
        Where the run is kept between epochs, every few seconds; removed when it is done.
    key : str
        What the run depends on besides; a checkpoint with another is begun anew.
    parts : callable, optional
        Cuts a batch of ``adamw`` into parts that fit the memory: ``loss`` is a mean over rows, and
        the gradient is the same up to rounding.

    Raises
    ------
    InputError
        If the loss stops to be a finite number.
    """
    generator = torch.Generator().manual_seed(seed)
    run = _Run(module, _adamw(module, options), generator)
    written = time.monotonic()
    with one_thread(), repeatable(next(module.parameters()).device):
        run.best_loss = held_out_loss()
        run.keep()
        if checkpoint is not None and checkpoint.exists():
            run.resume(checkpoint, key)
        while run.epoch < options.epochs and run.idle < options.patience:
            _check_finite(_epoch(run, loss, pairs, options, parts or (lambda rows: [rows])))
            found = held_out_loss()
            _check_finite(found)
            run.epoch += 1
            run.idle += 1
            if found < run.best_loss:
                run.best_loss, run.idle = found, 0
                run.keep()
            if checkpoint is not None and time.monotonic() - written >= _CHECKPOINT_SECONDS:
                run.write(checkpoint, key)
                written = time.monotonic()
            if report is not None:
                report(Epoch(run.epoch, options.epochs, found, run.best_loss))
    module.zero_grad(set_to_none=True)
    module.load_state_dict(run.best)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)


def held_out_fit(gaps: Tensor) -> dict[str, float | int]:
    """What is told of a trained reward model: log-loss and accuracy on held-out pairs.

    Parameters
    ----------
    gaps : Tensor, (pairs,)
        Reward of the chosen less that of the rejected response, as the loss takes it.

    Returns
    -------
    dict
        ``loss`` in nats, ``accuracy`` (a tie is half right) and ``pairs``.

    Examples
    --------
    >>> held_out_fit(torch.tensor([1.0, 0.0, -1.0, 2.0]))["accuracy"]
    0.625
    """
    right = (gaps > 0).double() + 0.5 * (gaps == 0).double()
    loss = nn.functional.softplus(-gaps.double()).mean()
    return {"loss": loss.item(), "accuracy": right.mean().item(), "pairs": len(gaps)}


class _Run:
    """What changes during a run, and what a checkpoint therefore holds."""

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.generator = generator
        self.epoch = 0
        self.idle = 0
        self.best_loss = math.inf
        self.best: dict[str, Tensor] = {}

    def keep(self) -> None:
        if not self.best:
            self.best = copy.deepcopy(self.module.state_dict())
            return
        # Into the copy that is there: a second one would be as large as the model.
        for name, each in self.module.state_dict().items():
            self.best[name].copy_(each)

    def write(self, path: Path, key: str) -> None:
        tensors = {"generator": self.generator.get_state()}
        tensors |= {f"best.{name}": each for name, each in self.best.items()}
        tensors |= snapshot(self.module, self.optimizer)
        progress = {"epoch": self.epoch, "idle": self.idle, "best_loss": self.best_loss}
        write_tensors(path, tensors, {"key": key, "progress": progress})

    def resume(self, path: Path, key: str) -> None:
        tensors, about = read_tensors(path)
        if about.get("key") != key:
            return
        restore(self.module, self.optimizer, tensors)
        self.best = below(tensors, "best")
        self.generator.set_state(tensors["generator"])
        for name, value in about["progress"].items():
            setattr(self, name, value)


def snapshot(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights, and what an optimiser remembers of each, by name."""
    state = optimizer.state_dict()["state"]
    tensors = {f"module.{name}": each for name, each in module.state_dict().items()}
    for place, entry in state.items():
        tensors |= {f"optimizer.{place}.{name}": value for name, value in entry.items()}
    return tensors


def restore(
    module: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Take up a :func:`snapshot`."""
    module.load_state_dict(below(tensors, "module"))
    state: dict[int, dict[str, Tensor]] = {}
    for name, each in below(tensors, "optimizer").items():
        place, _, what = name.partition(".")
        state.setdefault(int(place), {})[what] = each
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def below(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a part, by the rest of their names."""
    return {
        name.removeprefix(f"{part}."): each
        for name, each in tensors.items()
        if name.startswith(f"{part}.")
    }


def _adamw(module: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    shared = [each for name, each in module.named_parameters() if name != "user"]
    own = [each for name, each in module.named_parameters() if name == "user"]
    groups = [
        {"params": shared, "weight_decay": options.weight_decay},
        {"params": own, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=options.learning_rate, foreach=False
    )


def _epoch(run: _Run, loss: Loss, pairs: int, options: TrainingOptions, parts: Parts) -> float:
    """Train for an epoch and return its last loss."""
    progress = run.epoch / options.epochs
    if options.optimizer == "lbfgs":
        optimizer = torch.optim.LBFGS(
            [each for each in run.module.parameters() if each.requires_grad],
            max_iter=_LBFGS_STEPS,
            tolerance_grad=1e-9,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )
        every = torch.arange(pairs)

        def closure() -> Tensor:
            optimizer.zero_grad()
            found = loss(every, run.generator, progress)
            found.backward()
            return found

        last: Tensor = optimizer.step(closure)
        return last.item()
    found = 0.0
    for rows in torch.randperm(pairs, generator=run.generator).split(options.batch_size):
        run.optimizer.zero_grad()
        found = 0.0
        for part in parts(rows):
            share = loss(part, run.generator, progress) * (len(part) / len(rows))
            share.backward()
            found += share.item()
        run.optimizer.step()
    return found


def _check_finite(loss: float) -> None:
    if not math.isfinite(loss):
        mend = "take a lower learning rate or a larger penalty"
        raise fault("gives a loss that is not a finite number", mend, variable="learning_rate")
