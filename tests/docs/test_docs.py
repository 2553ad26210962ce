"""The documentation: nothing public is missing, links lead somewhere, blocks run or fail loudly."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import preflamp_stats as pls

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PUBLIC = [name for name in pls.__all__ if not name.startswith("_")]
PAGES = sorted(
    path for path in [ROOT / "README.md", *DOCS.rglob("*.md")] if "_build" not in path.parts
)


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_index_and_the_reference(name: str) -> None:
    assert f"~preflamp_stats.{name}`" in text("find.md")
    assert re.search(rf"^   {name}$", text("api.md"), re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_has_an_example(name: str) -> None:
    thing = getattr(pls, name)
    if callable(thing) and not isinstance(thing, type):
        assert ">>> " in (thing.__doc__ or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_a_page_is_python(page: Path) -> None:
    for code in re.findall(
        r"```\{?python\}?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    ):
        ast.parse(re.sub(r"^:\w+:.*$", "", code, flags=re.MULTILINE))


def test_every_tutorial_is_in_the_contents_and_names_its_reference() -> None:
    contents = text("index.md")
    tutorials = sorted((DOCS / "tutorials").glob("*.md"))
    assert len(tutorials) >= 8
    for path in tutorials:
        assert f"tutorials/{path.stem}\n" in contents
        page = path.read_text(encoding="utf-8")
        assert "```{python}" in page or "```{shell}" in page
        assert "**Reference:**" in page or "**More:**" in page


class TestExecutedBlocks:
    @pytest.fixture
    def page(self) -> object:
        pytest.importorskip("sphinx", reason="Sphinx is not installed")
        if str(DOCS / "_ext") not in sys.path:
            sys.path.insert(0, str(DOCS / "_ext"))
        from executed import Page

        return Page()

    def test_shows_prints_and_the_last_value(self, page: object) -> None:
        assert page.python("x = 2\nprint('a')\nx + 1") == "a\n3\n"
        assert page.python("x") == "2\n"
        assert page.python("y = x") == ""

    def test_blocks_of_a_page_share_a_directory(self, page: object) -> None:
        page.python("with open('f', 'w') as file:\n    n = file.write('text')")
        assert page.shell("cat f") == "text"

    def test_a_block_that_fails_raises(self, page: object) -> None:
        with pytest.raises(ZeroDivisionError):
            page.python("1 / 0")
        with pytest.raises(RuntimeError, match="exit status 3"):
            page.shell("exit 3")
