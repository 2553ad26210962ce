"""Files of others run no code, write nowhere else, and are not unpacked beyond reason."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from click.testing import CliRunner, Result

from preflamp_stats import simulate, write_results
from preflamp_stats.cli import main
from preflamp_stats.errors import InputError, printable
from preflamp_stats.io.files import open_results

ROOT = Path(__file__).parents[2]
ATTACK = '=cmd|"/c calc"!A1<script>alert(1)</script>\\input{x}'


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


FORBIDDEN = {
    "pickle": r"^\s*(?:import|from)\s+(?:pickle|cPickle|dill|shelve|marshal|joblib)\b",
    "torch.load": r"\btorch\.load\(",
    "numpy's pickles": r"allow_pickle\s*=\s*True",
    "eval and exec": r"(?<![\w.])(?:eval|exec)\(",
    "a shell": r"\bos\.system\(|shell\s*=\s*True",
    "remote code": r"trust_remote_code\s*=\s*(?!remote_code_allowed\(\))",
    "yaml's objects": r"\byaml\.(?:unsafe_)?load\(",
    "weights that are pickles": r"use_safetensors\s*=\s*(?!True)",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_nothing_runs_code_from_data(name: str) -> None:
    pattern = re.compile(FORBIDDEN[name], re.MULTILINE)
    sources = [*(ROOT / "preflamp_stats").rglob("*.py"), *(ROOT / "backend").rglob("*.py")]
    assert len(sources) > 100
    assert [str(path) for path in sources if pattern.search(path.read_text())] == []


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (Path("exploded"), "")  # type: ignore[return-value]


def test_weights_in_a_pickle_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from preflamp_backend.models.heads.head import load_head
    from preflamp_backend.models.loading import ModelSource, load_language_model
    from tiny_models import save_model

    monkeypatch.chdir(tmp_path)
    folder = save_model(tmp_path / "m", "qwen3", seed=0)
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.safetensors"):
        (folder / name).write_bytes(pickle.dumps(_Bomb()))
        with pytest.raises(InputError):
            load_language_model(ModelSource(str(folder), device="cpu"))
    with pytest.raises(InputError):
        load_head(folder / "pytorch_model.bin")
    assert not Path("exploded").exists()


def test_code_that_comes_with_a_model_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from preflamp_backend.models.loading import ModelSource, load_language_model
    from tiny_models import save_model

    monkeypatch.chdir(tmp_path)
    folder = save_model(tmp_path / "m", "qwen3", seed=0)
    config = json.loads((folder / "config.json").read_text())
    places = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    config |= {"model_type": "own", "auto_map": places}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("open('exploded', 'w')\n")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_language_model(ModelSource(str(folder), device="cpu"))
    assert not Path("exploded").exists()


def test_a_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from preflamp_backend.models.loading import ModelSource, load_language_model
    from tiny_models import save_model

    folder = save_model(tmp_path / "m", "qwen3", seed=0)
    config = json.loads((folder / "config.json").read_text())
    for changes in ({"num_hidden_layers": 3, "layer_types": None}, {"intermediate_size": 48}):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(InputError, match=r"lacks \d+ weights"):
            load_language_model(ModelSource(str(folder), device="cpu"))


def test_a_study_writes_below_its_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from study_files import write_study

    study = write_study(tmp_path / "study", examples=40)
    text = (
        '[data.titles]\npath = "titles.jsonl"\n[models.small]\npath = "small"\n'
        '[methods.bt]\nkind = "head"\npath = "{place}"\ntrain = {model = "bradley-terry"}\n'
        '[training]\ndata = "titles.jsonl"\nfeatures = "{features}"\n'
    )
    for place, features, said in (
        ("../out.safetensors", "f", "leads out of the study's folder"),
        (f"{tmp_path}/out.safetensors", "f", "leads out of the study's folder"),
        ("titles.jsonl", "f", "which is there and holds no reward model"),
        ("out.safetensors", "../f", "leads out of the study's folder"),
    ):
        study.write_text(text.replace("{place}", place).replace("{features}", features))
        result = command("train", study, "--dry-run")
        assert result.exit_code == 2
        assert said in result.stderr
    named = study.read_text().replace('"out.', '"{model}.').replace("../f", "f")
    study.write_text(named.replace("[models.small]", '[models."../../m"]'))
    result = command("train", study, "--dry-run")
    assert result.exit_code == 2
    assert "leads out of the study's folder" in result.stderr


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose labels are attacks, analysed."""
    folder = tmp_path_factory.mktemp("attack")
    tree = simulate(n_users=4, n_examples=3, n_methods=2, n_icl=0)
    labels = [ATTACK, "../../../outside"]
    ds = tree.to_dataset().assign_coords(method=labels)
    write_results(ds, folder / "r.nc")
    out = folder / "in" / "out"
    out.parent.mkdir()
    result = command("analyze", folder / "r.nc", "--resamples", 20, "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_labels_become_no_files(analysed: Path) -> None:
    folder = analysed.parents[1]
    assert sorted(path.name for path in folder.iterdir()) == ["in", "r.nc"]
    assert sorted(path.name for path in analysed.parent.iterdir()) == ["out"]


def test_labels_stay_text_in_every_output(analysed: Path) -> None:
    page = (analysed / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    latex = "".join(path.read_text() for path in (analysed / "tables").glob("*.tex"))
    assert r"\input" not in latex
    assert r"\textbackslash{}input\{x\}" in latex
    seen = 0
    for path in (analysed / "tables").glob("*.csv"):
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        for cell in (cell for row in rows for cell in row.values()):
            if re.match(r"\s*[=+@-]", cell):
                float(cell)  # what begins so is a number
            seen += cell == f"'{ATTACK}"
    assert seen


def test_messages_steer_no_terminal() -> None:
    assert printable("a\x1b[2J\r\nb\u202e\N{SNOWMAN}") == r"a\x1b[2J\r\nb\u202e☃"


@pytest.mark.parametrize("name", ["validate", "describe", "merge"])
@pytest.mark.parametrize("json", [False, True])
def test_what_went_well_is_said_without_steering_the_terminal(
    tmp_path: Path, name: str, json: bool
) -> None:
    study = simulate(n_methods=2, n_users=2, n_examples=2).to_dataset()
    labels = ["[red]a[/]\x1b]0;title\x07", "b\x9b31m", "c"]
    study = study.assign_coords(method=labels)
    path = tmp_path / "r.nc"
    write_results(study.assign_attrs(dataset="set\x1b]0;title\x07"), path)
    extra = ["-o", tmp_path / "out.nc"] if name == "merge" else ["--json"] if json else []
    result = command(name, path, *extra)
    assert result.exit_code == 0, result.output
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.output)
    assert "set" in result.output
    if name == "describe":
        assert "[red]a[/]" in result.output


def test_a_results_file_that_declares_too_much(tmp_path: Path) -> None:
    path = tmp_path / "bomb.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.preflamp_schema = 1
        for dim, size in (("method", 1), ("example", 10**10), ("candidate", 2)):
            file.createDimension(dim, size)
        dims = ("method", "example", "candidate")
        file.createVariable("reward", "f8", dims, chunksizes=(1, 1, 1), zlib=True)
        file.createVariable("user", str, ("example",), chunksizes=(1,))
    for name in ("validate", "describe", "analyze"):
        result = command(name, path, *(["--out", tmp_path / "o"] if name == "analyze" else []))
        assert result.exit_code == 2
        assert "variable reward: declares 160,000,000,000 bytes" in result.stderr
        assert "variable user: declares 80,000,000,000 bytes" in result.stderr
        assert len(result.stderr.splitlines()) == 2


_ROUND_IN_A_CIRCLE = """
import sys
from preflamp_stats.io import blocks

def for_ever(path):
    while True:
        pass

blocks._check_declared, blocks._PATIENCE = for_ever, 0.1
{then}
"""


@pytest.mark.parametrize(
    "then",
    [
        "from preflamp_stats.cli import main; main(['validate', sys.argv[1]])",
        "import preflamp_stats as p\ntry: p.open_results(sys.argv[1])\n"
        "except p.InputError as error: print(error, file=sys.stderr)",
    ],
    ids=["command", "library"],
)
def test_a_file_that_the_library_goes_round_in_is_given_up(tmp_path: Path, then: str) -> None:
    path = tmp_path / "r.nc"
    write_results(simulate(n_methods=2, n_users=2, n_examples=2), path)
    done = subprocess.run(
        [sys.executable, "-c", _ROUND_IN_A_CIRCLE.format(then=then), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert "r.nc: cannot be read: the NetCDF library never finishes reading it" in line


def test_a_scale_that_makes_numbers_infinite_is_a_problem_not_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "r.nc"
    write_results(simulate(n_methods=2, n_users=2, n_examples=2), path)
    with netCDF4.Dataset(path, "a") as file:
        file["reward"].scale_factor, file["reward"].add_offset = 1e308, 1e308
        file["reward"][:] = np.full(file["reward"].shape, 1e308)
        file["reward"].set_auto_maskandscale(False)
        file["reward"][:] = np.full(file["reward"].shape, 9.0)
    result = command("validate", path)
    assert result.exit_code == 2
    assert "variable reward: is infinite" in result.stderr
    assert not recwarn.list


def test_what_compresses_well_is_read(tmp_path: Path) -> None:
    tree = simulate(n_users=4, n_examples=3, n_methods=2, n_icl=0)
    ds = (
        tree.to_dataset().isel(example=np.zeros(200_000, int)).drop_vars("example", errors="ignore")
    )
    write_results(ds, tmp_path / "r.nc")
    with open_results(tmp_path / "r.nc") as found:
        assert found.sizes["example"] == 200_000


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.nc"
    write_results(simulate(n_users=4, n_examples=3, n_methods=2, n_icl=0), path)
    data = bytearray(path.read_bytes())
    places = [found.start() for found in re.finditer(rb"\x78[\x01\x5e]", bytes(data))]
    assert places
    for place in places:
        data[place + 2 : place + 6] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(data))
    result = command("validate", path)
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
    assert "it is damaged" in result.stderr


def test_a_parquet_file_that_declares_too_much(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "bomb.parquet"
    rows = 40_000_000
    table = pa.table({"reward": pa.array(np.zeros(rows, "i1"))})
    parquet.write_table(table, path, compression="zstd", row_group_size=rows)
    assert path.stat().st_size < 200_000
    result = command("convert", path, "-o", tmp_path / "o.nc")
    assert result.exit_code == 2
    assert "declares 320,000,000 bytes" in result.stderr


def test_a_corpus_that_unpacks_too_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("preflamp_backend.files.text")
    monkeypatch.setattr(files, "_SMALL", 2**20)
    path = tmp_path / "papers.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(2**24)))
    result = command("data", "build", "titles", path, "--out", tmp_path / "o")
    assert result.exit_code == 2
    assert "unpacks to more than" in result.stderr
    path.write_bytes(path.read_bytes()[:-20])
    result = command("data", "build", "titles", path, "--out", tmp_path / "o")
    assert result.exit_code == 2
    assert not (tmp_path / "o").exists()
