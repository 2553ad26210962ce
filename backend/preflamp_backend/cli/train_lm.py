"""``preflamp-stats train-lm``: a small causal language model from scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from preflamp_backend.cli.shared import bar, needed, out_folder
from preflamp_stats.cli.console import stop


@click.command("train-lm", context_settings={"show_default": True})
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_folder("Folder of the model.")
@click.option("--size", default="1M", help="Parameters, such as 300K, 1M, 0.1B.")
@click.option("--field", default="text", help="Key of the text in JSONL.")
@click.option("--tokenizer", default="", metavar="FOLDER", help="Share this model's vocabulary.")
@click.option("--vocabulary", default=4096, help="Tokens of a new tokenizer.")
@click.option("--context", default=1024, help="Longest sequence in tokens.")
@click.option("--epochs", default=4, help="Passes over the texts.")
@click.option("--batch-tokens", default=8192, help="Tokens a step.")
@click.option("--learning-rate", type=float, help="Peak rate; chosen by width where not given.")
@click.option("--prompt-weight", default=1.0, help="Weight of prompts' tokens; responses have 1.")
@click.option("--held-out", default=0.05, help="Share of documents that give the loss.")
@click.option("--seed", default=0, help="Seed of weights, held-out documents and order.")
@click.option("--device", default="auto", help="cpu, cuda:0; auto takes a GPU where there is one.")
@click.option("--threads", default=0, help="CPU threads; 0: torch's choice. Fix it for one result.")
@click.option("--save-every", default=200, help="Steps between checkpoints.")
def train_lm_command(texts: tuple[Path, ...], out: Path, threads: int, **choices: Any) -> None:
    """Train a Qwen2-shaped language model on TEXTS.

    TEXTS are text files, whose documents are parted by blank lines, or JSONL with a text or with
    pairs of prompt and response a line; both may be gzip-compressed. Stop it when you like: run
    again, it goes on where it was.
    """
    with needed():
        import torch

        from preflamp_backend.pretraining.train_lm import TrainingOptions, train_lm
    names = [each.name for each in fields(TrainingOptions) if each.name in choices]
    options = TrainingOptions(**{name: choices.pop(name) for name in names})
    if threads:
        torch.set_num_threads(threads)
    try:
        with _progress() as report:
            found = train_lm(texts, out, options=options, report=report, **choices)
    except KeyboardInterrupt:
        stop("stopped; run again to go on from the last checkpoint")
    click.echo(
        f"{out}: {found.parameters:,} parameters ({found.layers} layers, width {found.width}), "
        f"{found.tokens:,} tokens, {found.steps} steps"
    )
    click.echo(
        f"held-out loss: {found.held_out.all:.3f} nats a token, "
        f"{found.held_out.responses:.3f} on responses"
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int, float], None]]:
    """Show steps, loss and the time that is left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    loss = "steps, loss {task.fields[loss]:.3f}"
    with bar("training", BarColumn(), MofNCompleteColumn(), loss, TimeRemainingColumn()) as shown:
        task = shown.add_task("", total=None, loss=float("nan"))
        yield lambda step, total, loss: shown.update(task, completed=step, total=total, loss=loss)
