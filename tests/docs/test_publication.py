"""What a stranger sees on a forge or a package index agrees with what the repository holds."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

import preflamp_stats as pls
from preflamp_stats.io.blocks import unreadable

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
INDEX = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ANY_LINK = re.compile(r"\]\(([^)]+)\)")


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build hook, where Hatchling, which only builds have, need not be there."""
    name = "hatchling.metadata.plugin.interface"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(MetadataHookInterface=object))
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_home_the_index_shows_no_link_into_the_repository(hook: ModuleType) -> None:
    shown = hook.index_readme("see [a](docs/a.md), [b](https://b.org), ![c](c.png)!", "", "1")
    assert shown == "see a, [b](https://b.org), !"
    assert not [
        each for each in ANY_LINK.findall(hook.index_readme(README, "", "1")) if "://" not in each
    ]
    assert hook.addresses("", "https://docs.org") == {}


def test_with_a_home_every_link_is_absolute_and_to_a_file_of_the_version(hook: ModuleType) -> None:
    home = "https://forge.example/them/preflamp-stats"
    shown = ANY_LINK.findall(hook.index_readme(README, home, "0.1.0"))
    assert len(shown) == len(ANY_LINK.findall(README)) > 20
    for link in shown:
        form, _, path = link.removeprefix(f"{home}/").partition("/v0.1.0/")
        assert form == ("raw" if path.endswith(".png") else "blob")
        assert (ROOT / path).exists()
    assert hook.addresses(home, "")["Issues"] == f"{home}/issues"
    assert "Documentation" not in hook.addresses(home, "")


def test_versions_and_addresses_agree() -> None:
    citation = loaded("CITATION.cff")
    assert citation["version"] == PROJECT["project"]["version"] == pls.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation.get("repository-code", "") == INDEX["home"]


def test_pictures_are_small() -> None:
    for name in ("report", "figure"):
        assert 10_000 < (ROOT / f"docs/_static/{name}.png").stat().st_size <= 200_000


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_calls_targets_that_are_there(path: Path) -> None:
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert targets >= phony
    assert flow["permissions"] == {"contents": "read"}
    called = set()
    for job in flow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/checkout@v4"))
            words = step.get("run", "make").split()
            assert words[0] == "make"
            called |= {word for word in words[1:] if re.fullmatch("[a-z-]+", word)}
    assert called
    assert called <= phony


def test_the_forge_tests_every_python_that_is_claimed_from_the_oldest_on() -> None:
    flow = loaded(".github/workflows/tests.yml")
    tested = flow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    found = [each.rpartition(":: ")[2] for each in PROJECT["project"]["classifiers"]]
    claimed = [each for each in found if re.fullmatch(r"3\.\d+", each)]
    assert claimed
    assert tested[: len(claimed)] == claimed
    assert PROJECT["project"]["requires-python"] == f">={claimed[0]}"


def test_hosted_docs_install_what_exists() -> None:
    (command,) = loaded(".readthedocs.yaml")["build"]["jobs"]["install"]
    extras = re.search(r"\.\[([a-z,]+)\]", command)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    assert (ROOT / loaded(".readthedocs.yaml")["sphinx"]["configuration"]).exists()


@pytest.mark.parametrize("name", ["bug", "number"])
def test_an_issue_form_has_what_forms_need(name: str) -> None:
    form = loaded(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    ids = [each["id"] for each in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(each["attributes"]["label"] for each in form["body"])


def test_an_error_names_only_extras_that_there_are() -> None:
    named: set[str] = set()
    for package in ("preflamp_stats", "backend/preflamp_backend"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for found in re.findall(
                r"preflamp-stats\[([a-z,]+)\]|extra=\"([a-z,]+)\"|needed\(\"([a-z,]+)\"", text
            ):
                named |= set("".join(found).split(","))
    assert named >= {"parquet", "inspect", "dask", "gguf", "bits", "adapters", "backend"}
    assert named <= set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("said", ["'dask' is not available", "dask is none of []"])
def test_chunks_without_dask_are_no_damaged_file(said: str) -> None:
    """Both are what versions of xarray say of a chunk manager that is not installed."""
    message = str(unreadable(ImportError(f"chunk manager {said}"), "r.nc"))
    assert "pip install 'preflamp-stats[dask]'" in message
    assert "damaged" not in message
