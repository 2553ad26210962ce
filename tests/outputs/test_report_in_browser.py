"""The report in a real browser: sorting, keyboard, screens of every width, and nothing that runs.

Needs the Python package ``playwright`` and Chromium (Debian: ``apt install chromium``); skipped
where either is absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import preflamp_stats as pls
from preflamp_stats.outputs.report import to_html
from preflamp_stats.results import Analysis, ResultTable

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ATTACK = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=CHROMIUM, headless=True, args=QUIET
        )
        yield context
        context.close()


@pytest.fixture
def small(analysis: Analysis) -> Analysis:
    """Two tables, one of them with labels that would run if they were let."""
    tables = {name: analysis.tables[name] for name in ("tau", "rm_accuracy")}
    frame = tables["rm_accuracy"].frame.assign(method=lambda f: [*f["method"][:-1], ATTACK])
    tables["rm_accuracy"] = replace(tables["rm_accuracy"], frame=frame, title=ATTACK)
    tables["tau"] = replace(tables["tau"], findings=[ATTACK])
    return replace(asked(analysis, tables), notes=[ATTACK])


def asked(analysis: Analysis, tables: dict[str, ResultTable]) -> Analysis:
    """An analysis of these tables alone, under the questions that they answer."""
    questions = [
        replace(each, tables=tuple(name for name in each.tables if name in tables))
        for each in analysis.questions
    ]
    return replace(analysis, tables=tables, questions=questions)


def opened(
    browser: object,
    analysis: Analysis,
    directory: Path,
    *,
    wanted: list[str] | None = None,
    unfold: bool = False,
) -> object:
    """Open the report of an analysis in a new page; note what it asks for, fail on its errors."""
    path = directory / "report.html"
    path.write_text(to_html(analysis), encoding="utf-8")
    page = browser.new_page()
    page.on("request", lambda request: [] if wanted is None else wanted.append(request.url))
    page.on("pageerror", fail)
    page.set_viewport_size({"width": 1200, "height": 800})
    page.goto(path.as_uri())
    if unfold:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    return page


def fail(error: object) -> None:
    pytest.fail(f"the page's script failed: {error}")


def column(page: object, table: str, place: int) -> list[str]:
    rows = f"#{table} tbody tr:not(.group)"
    return page.eval_on_selector_all(
        rows,
        "(rows, place) => rows.map(r => r.cells[place].firstChild.textContent.trim())",
        place,
    )


def test_labels_of_a_file_do_nothing(browser: object, small: Analysis, tmp_path: Path) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    assert page.title() == "Report of preflamp-stats"
    assert "<script>document.title='taken'</script>" in page.inner_text("#rm_accuracy")
    assert len(page.query_selector_all("script")) == 1


def test_a_script_that_got_in_would_not_run(
    browser: object, small: Analysis, tmp_path: Path
) -> None:
    page = opened(browser, small, tmp_path)
    broken = page.content().replace("</main>", f"{ATTACK}</main>")
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    page.goto((tmp_path / "broken.html").as_uri())
    assert len(page.query_selector_all("script")) == 2
    assert page.title() == "Report of preflamp-stats"


def test_loads_nothing(browser: object, small: Analysis, tmp_path: Path) -> None:
    wanted: list[str] = []
    opened(browser, small, tmp_path, wanted=wanted)
    assert [url for url in wanted if not url.startswith("data:")] == [
        (tmp_path / "report.html").as_uri()
    ]


def test_headings_sort_the_rows_of_each_group_by_value(
    browser: object, analysis: Analysis, tmp_path: Path
) -> None:
    values = [5.0, -2.5, float("nan"), 1000.0, -30.0]
    rows = [
        {"dataset": "d", "method": f"m{number}", "metric": "reward", "estimate": value}
        for number, value in enumerate(values)
    ]
    table = ResultTable("generation", pd.DataFrame(rows), "Quality", "In its own units.")
    page = opened(browser, asked(analysis, {"generation": table}), tmp_path, unfold=True)
    before = column(page, "generation", 0)
    heading = page.locator("#generation thead th").nth(1)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column(page, "generation", 0) == ["m4", "m1", "m0", "m3", "m2"]
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, "generation", 0) == ["m3", "m0", "m1", "m4", "m2"]
    page.locator("#generation thead button").first.click()
    assert heading.get_attribute("aria-sort") is None
    assert column(page, "generation", 0) == before


def test_groups_keep_their_headings_and_rows(
    browser: object, small: Analysis, tmp_path: Path
) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    groups = "#tau tbody"
    count = "bodies => bodies.map(b => [b.rows[0].className, b.rows.length])"
    before = page.eval_on_selector_all(groups, count)
    page.locator("#tau thead button").nth(2).click()
    assert page.eval_on_selector_all(groups, count) == before
    assert before[0][0] == "group"


def test_without_scripts_the_tables_are_there(
    browser: object, small: Analysis, tmp_path: Path
) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    session = browser.new_cdp_session(page)
    session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.reload()
    assert page.locator("th button").count() == 0
    assert page.locator("#tau tbody tr").count() > 3


def test_the_keyboard_reaches_results_and_headings(
    browser: object, small: Analysis, tmp_path: Path
) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    page.keyboard.press("Tab")
    focused = "document.activeElement.textContent.trim()"
    assert page.evaluate(focused) == "Skip to the results"
    skip = page.locator(".skip").bounding_box()
    page.keyboard.press("Enter")
    assert skip["y"] >= 0
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName + ' ' + " + focused))
    assert "BUTTON Tau" in seen
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"


def test_every_landmark_table_and_picture_has_a_name(
    browser: object, small: Analysis, tmp_path: Path
) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    tree = browser.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored") and "role" in node
    ]
    roles = {role for role, _ in named}
    assert {"main", "banner", "navigation", "table", "columnheader", "rowheader"} <= roles
    for wanted in ("table", "image", "region", "navigation"):
        assert all(name for role, name in named if role == wanted), wanted


@pytest.mark.parametrize("width", [1200, 768, 360])
def test_fits_the_width_of_a_screen(
    browser: object, small: Analysis, tmp_path: Path, width: int
) -> None:
    page = opened(browser, small, tmp_path, unfold=True)
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(
    browser: object, small: Analysis, tmp_path: Path, scheme: str
) -> None:
    page = opened(browser, small, tmp_path)
    page.emulate_media(color_scheme=scheme)
    page_colour = luminance(page.evaluate("getComputedStyle(document.documentElement).background"))
    assert (page_colour > 0.5) == (scheme == "light")
    for selector in ("h1", ".limits", ".interval", ".verdict a", "caption"):
        colour = page.eval_on_selector(selector, "element => getComputedStyle(element).color")
        low, high = sorted([luminance(colour), page_colour])
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(…)`` as WCAG defines it."""
    numbers = colour.split("(", 1)[1].split(")")[0].replace(",", " ").split()[:3]
    shares = [float(number) / 255 for number in numbers]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_prints_what_is_folded(browser: object, analysis: Analysis, tmp_path: Path) -> None:
    rows = [{"dataset": "d", "method": f"m{n}", "estimate": n / 100} for n in range(90)]
    table = ResultTable("rm_accuracy", pd.DataFrame(rows), "Accuracy", "Long.")
    page = opened(browser, asked(analysis, {"rm_accuracy": table}), tmp_path)
    assert not page.locator("tbody").first.is_visible()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("tbody").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of what a small study gives: nine methods, two hundred users, every table."""
    path = tmp_path_factory.mktemp("usual") / "report.html"
    analysis = pls.analyze(pls.simulate(seed=0), pls.Settings(resamples=100))
    path.write_text(to_html(analysis), encoding="utf-8")
    return path


def test_a_small_study_is_told_in_a_thousand_words(browser: object, usual: Path) -> None:
    """As seen before anything is unfolded."""
    page = browser.new_page()
    page.goto(usual.as_uri())
    assert 500 < len(page.inner_text("body").split()) <= 1000


def test_the_first_screen_has_answer_picture_and_what_they_do_not_say(
    browser: object, usual: Path
) -> None:
    page = browser.new_page()
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(usual.as_uri())
    for selector in ("h1", ".study", ".verdict dd", ".limits", ".hero svg", ".hero figcaption"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] <= 900, selector
    names = [each.bounding_box() for each in page.locator(".hero .name").all()]
    assert len(names) == 9
    for place, one in enumerate(names):
        for other in names[:place]:
            sides = (("x", "width"), ("y", "height"))
            meet = [min(one[a] + one[s], other[a] + other[s]) - max(one[a], other[a])
                    for a, s in sides]  # fmt: skip
            assert min(meet) < 4  # pixels of empty space around letters


@pytest.mark.parametrize("unfold", [False, True])
def test_axe_finds_no_violation(browser: object, usual: Path, unfold: bool) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is absent")
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page = browser.new_page()
    page.goto(usual.as_uri())
    if unfold:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.evaluate(script)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
