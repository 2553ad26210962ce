"""``preflamp-stats train-lm``: a small causal language model from scratch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

__all__ = ["train_lm_command"]


@click.command("train-lm", context_settings={"show_default": True})
@click.argument("texts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the model.",
)
@click.option("--size", default="1M", help="Parameters, such as 300K, 1M, 0.1B.")
@click.option("--field", default="text", help="Key of the text in JSONL.")
@click.option(
    "--tokenizer",
    default="",
    metavar="FOLDER",
    help="Share this tokenizer, so that models of all sizes have one vocabulary.",
)
@click.option("--vocabulary", default=4096, help="Tokens of a new tokenizer.")
@click.option("--context", default=1024, help="Longest sequence in tokens.")
@click.option("--epochs", default=4, help="Passes over the texts.")
@click.option("--batch-tokens", default=8192, help="Tokens a step.")
@click.option("--learning-rate", type=float, help="Peak rate; chosen by width where not given.")
@click.option(
    "--prompt-weight",
    default=1.0,
    help="Weight of prompts' tokens in the loss; responses have 1.",
)
@click.option("--held-out", default=0.05, help="Share of documents that give the loss.")
@click.option("--seed", default=0, help="Seed of weights, held-out documents and order.")
@click.option("--device", default="auto", help="cpu, cuda:0; auto takes a GPU where there is one.")
@click.option(
    "--threads", default=0, help="CPU threads; 0 is torch's choice. One number, one result."
)
@click.option("--save-every", default=200, help="Steps between checkpoints.")
def train_lm_command(
    texts: tuple[Path, ...],
    out: Path,
    size: str,
    field: str,
    tokenizer: str,
    vocabulary: int,
    context: int,
    epochs: int,
    batch_tokens: int,
    learning_rate: float | None,
    prompt_weight: float,
    held_out: float,
    seed: int,
    device: str,
    threads: int,
    save_every: int,
) -> None:
    """Train a Qwen2-shaped language model on TEXTS.

    TEXTS are text files, whose documents are parted by blank lines, or JSONL with a text or with
    pairs of prompt and response a line; both may be gzip-compressed. Stop it when you like: run
    again, it goes on where it was.
    """
    from preflamp_stats.cli.console import stop
    from preflamp_stats.errors import InputError, Problem

    try:
        import torch
        from preflamp_backend.pretraining.train_lm import train_lm
        from preflamp_backend.pretraining.training import TrainingOptions
    except ImportError as error:
        raise InputError(
            Problem(
                f"the backend is not installed ({error})", "pip install 'preflamp-stats[backend]'"
            )
        ) from error
    options = TrainingOptions(
        epochs=epochs,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        prompt_weight=prompt_weight,
        seed=seed,
        save_every=save_every,
    )
    if threads:
        torch.set_num_threads(threads)
    try:
        with _progress() as report:
            found = train_lm(
                texts,
                out,
                size=size,
                field=field,
                tokenizer=tokenizer,
                vocabulary=vocabulary,
                context=context,
                held_out=held_out,
                device=device,
                options=options,
                report=report,
            )
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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, loss=float("nan"))
        yield lambda step, total, loss: bar.update(task, completed=step, total=total, loss=loss)
