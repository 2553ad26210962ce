"""Make the pictures of the README: ``python docs/pictures.py ANALYSIS`` (``make pictures``).

The report's first screen as Chromium shows it, and a figure; 128 colours are enough for both.
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent / "_static"
MOST = 200_000
"""Bytes of a picture."""


def main(analysis: Path) -> None:
    """Write ``report.png`` and ``figure.png`` into ``_static``."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("needs Chromium (Debian: apt install chromium)")
    report, figure = HERE / "report.png", HERE / "figure.png"
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1040, "height": 860}, color_scheme="light")
        page.goto((analysis / "report.html").resolve().as_uri())
        page.screenshot(path=report)
        browser.close()
    shutil.copyfile(analysis / "figures/tau.png", figure)
    for path in (report, figure):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((1040, 1040))
        picture.quantize(128).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size:,} bytes")
        if path.stat().st_size > MOST:
            sys.exit(f"{path.name} is over {MOST:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
