"""What the package index shows: the README with links that hold there, and the project's addresses.

Hatchling runs this when it builds. The home is set in one place, ``pyproject.toml``; while it is
not, links into the repository become their text, so that the index has none that lead nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+://|#)([^)\s]+)\)")


def index_readme(text: str, home: str, version: str) -> str:
    """Give each link into the repository the address of its file, or leave its text alone.

    Parameters
    ----------
    text : str
        Markdown.
    home : str
        Address of the repository on a forge with ``/blob/`` and ``/raw/``; ``""`` if there is none.
    version : str
        Version; the links lead to its tag, so that they hold when files move.
    """

    def absolute(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        if not home:
            return "" if picture else words
        return f"{picture}[{words}]({home}/{'raw' if picture else 'blob'}/v{version}/{path})"

    return LINK.sub(absolute, text)


def addresses(home: str, docs: str) -> dict[str, str]:
    """Project URLs as the index shows them; none while there is no home."""
    urls = {"Source": home, "Issues": f"{home}/issues", "Documentation": docs}
    urls["Changelog"] = f"{home}/blob/main/CHANGELOG.md"
    return {name: url for name, url in urls.items() if home and url}


class Index(MetadataHookInterface):
    """Hook of Hatchling that fills ``readme`` and ``urls``."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill what ``pyproject.toml`` declares dynamic."""
        home = self.config["home"].rstrip("/")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = index_readme(text, home, metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = addresses(home, self.config["docs"])
