"""From papers to tables: does a better personalised reward model write better titles?"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# One thread a process: two processes then share two cores, and sums have one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import click
from corpus import documents, invent_papers, load_papers, write_documents
from design import Design, merged, read_design, to_toml
from fetch import fetch
from preflamp_backend.data.build import build_pref_lamp, write_built
from preflamp_backend.data.checks import example_texts
from preflamp_backend.data.examples import Example, write_examples
from preflamp_backend.data.splits import SplitOptions
from preflamp_backend.data.titles import author_questions
from preflamp_backend.files.text import write_text
from preflamp_backend.pretraining.train_lm import train_tokenizer
from steps import choose_weights, latest, reference_points, search_methods
from summary import summarise

from preflamp_stats import InputError, Problem

HERE = Path(__file__).resolve().parent
BESIDE_THE_REPOSITORY = HERE.parents[2] / "shared" / "data"
DATASET = "acl_titles"


@click.command(context_settings={"show_default": True})
@click.option(
    "--size",
    default="full",
    help="full, small, real, or a design file of your own (TOML, such as full.toml).",
)
@click.option(
    "--data",
    envvar="PREFLAMP_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    default=BESIDE_THE_REPOSITORY,
    help="Folder that holds acl_titles/papers.jsonl.gz; the small size needs none.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write; out/acl_titles-SIZE by default.",
)
@click.option(
    "--models",
    envvar="PREFLAMP_REAL_MODELS",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of pretrained models, those that are missing are fetched; in --out by default.",
)
@click.option("--only", multiple=True, help="Base models to run, of the design's.")
@click.option("--jobs", default=2, help="Processes side by side.")
@click.option("--seed", default=0, help="Seed of every random number.")
def main(
    size: str,
    data: Path,
    out: Path | None,
    models: Path | None,
    only: tuple[str, ...],
    jobs: int,
    seed: int,
) -> None:
    """Train base models and reward models, choose weights, write titles, analyse.

    Stop it when you like: run again, it goes on where it was.
    """
    path = HERE / f"{size}.toml" if size in ("full", "small", "real") else Path(size)
    folder = out or Path("out") / f"acl_titles-{path.stem}"
    try:
        design = read_design(path)
        if unknown := sorted(set(only) - set(design.study["models"])):
            known = ", ".join(design.study["models"])
            raise InputError(Problem(f"is not in the design: {unknown[0]}", known, variable="only"))
        kept = {name: each for name, each in design.study["models"].items() if name in only}
        if kept:
            design = replace(design, study={**design.study, "models": kept})
        Study(design, data, folder, models or folder / "models", jobs, seed).run()
    except InputError as error:
        for problem in error.problems:
            click.echo(f"acl_titles: {problem}", err=True)
        sys.exit(2)


@dataclass
class Study:
    """The steps, each of which finds what an earlier run has done.

    Attributes
    ----------
    design : Design
    data, out, models : Path
    jobs, seed : int
    seconds : dict
        Wall-clock time of each step.
    """

    design: Design
    data: Path
    out: Path
    models: Path
    jobs: int
    seed: int
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """All steps."""
        for step in (self.build, self.base, self.rewards, self.search, self.score, self.analyse):
            started = time.monotonic()
            step()
            self.seconds[step.__name__] = time.monotonic() - started
            click.echo(f"{step.__name__}: {self.seconds[step.__name__]:.0f} s", err=True)
        cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds["all (CPU)"] = cpu.ru_utime + cpu.ru_stime
        rows = [f"{name},{each:.1f}" for name, each in self.seconds.items()]
        write_text(self.out / "seconds.csv", "\n".join(["step,seconds", *rows, ""]))
        models = list(self.design.study["models"])
        write_text(self.out / "summary.md", summarise(self.out, models))
        click.echo(f"open {self.out / 'analysis' / 'report.html'} in a browser")

    def build(self) -> None:
        """Papers to preference examples, split by author and text, and to training texts."""
        corpus = self.design.corpus
        if corpus.kind == "acl":
            papers = load_papers(self.data, corpus.words)
        else:
            papers = invent_papers(corpus.authors, corpus.papers, self.seed)
        options = SplitOptions(
            validation=corpus.validation,
            test=corpus.test,
            held_out=corpus.held_out,
            seed=self.seed,
        )
        questions = author_questions(papers, min_papers=corpus.min_papers)
        about = {"kind": "Pref-LaMP from papers by author", "words": corpus.words}
        built = build_pref_lamp(questions, options=options, about=about)
        train = latest(built.sides["train"], corpus.pairs)
        write_built(replace(built, sides={**built.sides, "train": train}), self.out / "data")
        held_out = [*built.sides["validation"], *built.sides["test"]]
        # The rejected titles of held-out pairs are held out too: their texts are of the same side.
        hidden = {text for each in held_out for text in _texts(each)}
        write_documents(documents(papers, hidden), self.out / "documents.jsonl")
        asked = [
            Example(each.id, each.user, each.prompt, {}, each.reference, history=each.history)
            for each in built.sides["validation"]
        ]
        write_examples(asked, self.out / "data" / "asked.jsonl")
        reference_points(built.sides["test"]).to_csv(self.out / "reference_points.csv", index=False)

    def base(self) -> None:
        """Base models: fetched, or trained from scratch with one tokenizer for all."""
        for name in set(self.design.fetched) & set(self.design.study["models"]):
            place, made = self.out / "models" / name, fetch(name, self.models).resolve()
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(made)
        if self.design.sizes:
            self.pretrain()

    def pretrain(self) -> None:
        """Train base models from scratch."""
        base, tokenizer = self.design.base, self.out / "models" / "tokenizer"
        if not (tokenizer / "tokenizer.json").exists():
            from preflamp_backend.pretraining.documents import read_documents

            texts = [each.text for each in read_documents([self.out / "documents.jsonl"])]
            train_tokenizer(texts, base.vocabulary).save_pretrained(tokenizer)
        options = {
            "tokenizer": tokenizer,
            "context": base.context,
            "epochs": base.epochs,
            "batch-tokens": base.batch_tokens,
            "prompt-weight": base.prompt_weight,
            "held-out": base.held_out,
            "seed": self.seed,
            "threads": 1,
        }
        shared = [word for name, value in options.items() for word in (f"--{name}", value)]
        texts_file, folder = self.out / "documents.jsonl", self.out / "models"
        self.commands(
            [
                ["train-lm", texts_file, "--out", folder / name, "--size", size, *shared]
                for name, size in reversed(self.design.sizes.items())
            ]
        )

    def rewards(self) -> None:
        """Reward models: of each base model, heads in a process and language models in another."""
        study, files = self.design.study, []
        for part in ("tokens", "heads"):
            kept = {
                name: each
                for name, each in study["methods"].items()
                if (each["kind"] == "head") == (part == "heads")
            }
            if any("train" in each for each in kept.values()):
                own = {**study, "methods": kept}
                files += self.by_model(f"train-{part}", own, "test").values()
        self.commands([["train", file] for file in files])

    def search(self) -> None:
        """Titles of validation authors at each weight; the best weight of each method and model."""
        study = dict(self.design.study)
        methods = search_methods(study["methods"], self.design.weights)
        self.run_models("search", {**study, "methods": methods}, "asked")
        found = choose_weights(self.out / "search.nc")
        found.to_csv(self.out / "weights.csv", index=False)

    def score(self) -> None:
        """Scores and titles of test authors."""
        import pandas as pd

        chosen = pd.read_csv(self.out / "weights.csv").query("chosen")
        weight = {
            name: dict(zip(rows["model"].astype(str), rows["weight"].astype(float), strict=True))
            for name, rows in chosen.groupby("method")
        }
        methods = {
            name: {**method, **({"weight": weight[name]} if name in weight else {})}
            for name, method in self.design.study["methods"].items()
        }
        study = {**self.design.study, "methods": methods}
        self.write(self.out / "study.toml", study, "test")
        self.run_models("results", study, "test")

    def run_models(self, stem: str, study: Mapping[str, Any], side: str) -> None:
        """Run a study, each base model in a process of its own, and join what they wrote."""
        files = self.by_model(stem, study, side)
        parts = {name: self.out / f"{stem}-{name}.nc" for name in files}
        shared = self.jobs // len(files)
        workers = ["--workers", shared] if shared > 1 else []
        self.commands([["run", file, "-o", parts[name], *workers] for name, file in files.items()])
        in_order = [parts[name] for name in self.design.study["models"]]
        self.commands([["merge", *in_order, "-o", self.out / f"{stem}.nc"]])

    def by_model(self, stem: str, study: Mapping[str, Any], side: str) -> dict[str, Path]:
        """Write a study's file for each base model alone; the largest model first."""
        files = {}
        for name in reversed(study["models"]):
            own = {key: _of_model(table, name) for key, table in study["methods"].items()}
            files[name] = self.out / f"{stem}-{name}.toml"
            models = {name: study["models"][name]}
            table = {**study, "models": models, "methods": own}
            differs = self.design.own[name]
            named = {key: each for key, each in differs.get("methods", {}).items() if key in own}
            table = merged(table, {**differs, "methods": named})
            self.write(files[name], table, side)
        return files

    def analyse(self) -> None:
        """Tables, figures and the report."""
        options = [
            word for name, value in self.design.analysis.items() for word in (f"--{name}", value)
        ]
        out = self.out / "analysis"
        seed = ["--seed", self.seed]
        self.commands([["analyze", self.out / "results.nc", "--out", out, *seed, *options]])

    def write(self, file: Path, study: Mapping[str, Any], side: str) -> None:
        """Write a study file on one side of the data."""
        table = {
            "data": {DATASET: {"path": f"data/{side}.jsonl"}},
            "training": {"data": "data/train.jsonl", **study.get("training", {})},
            **{key: value for key, value in study.items() if key != "training"},
        }
        write_text(file, to_toml(table) + "\n")

    def commands(self, commands: Sequence[Sequence[Any]]) -> None:
        """Run commands of preflamp-stats, several side by side.

        Raises
        ------
        InputError
            With what the first failing one said.
        """
        with ThreadPoolExecutor(max(1, self.jobs)) as pool:
            for failure in [each for each in pool.map(_command, commands) if each]:
                raise InputError(failure)


def _texts(example: Example) -> frozenset[str]:
    """Texts of an example, its abstract without the instruction among them."""
    from preflamp_backend.data.checks import normalise
    from preflamp_backend.data.lamp import TASKS

    abstract = example.prompt.removeprefix(TASKS["LaMP_5"].instruction)
    return example_texts(example) | {normalise(abstract)}


def _of_model(method: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Keep one base model's weight of a method that has one for each."""
    weight = method.get("weight")
    return {**method, "weight": weight[model]} if isinstance(weight, Mapping) else dict(method)


def _command(words: Sequence[Any]) -> str:
    """Run one command; returns what went wrong."""
    said = [str(word) for word in words]
    click.echo("preflamp-stats " + " ".join(said), err=True)
    start = "from preflamp_stats.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", start, *said], check=False, capture_output=True)
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return f"{said[0]} failed: " + "\n".join(lines[-5:])


if __name__ == "__main__":
    main()
