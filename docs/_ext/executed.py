"""Code blocks that run when the documentation is built, and show what they print.

``{python}`` runs Python, ``{shell}`` commands. All blocks of a page share one namespace and one
empty directory. A block that fails fails the build.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

_QUIET = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "TERM": "dumb"}
_pages: dict[str, Page] = {}


class Page:
    """Directory and names that the blocks of a page share."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="preflamp-docs-"))
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def python(self, code: str) -> str:
        """Run code; return what it prints, and the value of its last line where that is one."""
        printed = io.StringIO()
        body = ast.parse(code).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            exec(compile(ast.Module(body, []), "<documentation>", "exec"), self.names)
            if last is not None:
                expression = ast.Expression(last.value)
                value = eval(compile(expression, "<documentation>", "eval"), self.names)
                if value is not None:
                    print(_shown(value))
        return printed.getvalue()

    def shell(self, code: str) -> str:
        """Run commands; return their standard output."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.folder,
            env=os.environ | _QUIET | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def _shown(value: Any) -> str:
    """A value as a reader sees it; tables in full width."""
    if hasattr(value, "to_string"):
        return str(value.to_string(float_format=lambda number: f"{number:.3f}"))
    return str(value)


class Executed(SphinxDirective):
    """A block of one language; ``:needs:`` names a module without which it is shown only."""

    has_content = True
    language: ClassVar[str]
    option_spec: ClassVar[dict[str, Any]] = {
        "needs": directives.unchanged,
        "lines": directives.positive_int,
        "figure": directives.unchanged,
        "alt": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Make the nodes of the code, of its output and of its figure."""
        code = "\n".join(self.content)
        shown: list[nodes.Node] = [
            self._literal(code, {"python": "python"}.get(self.language, "bash"))
        ]
        needed = self.options.get("needs", "")
        if needed and importlib.util.find_spec(needed) is None:
            return shown
        page = _pages.setdefault(self.env.docname, Page())
        try:
            output = getattr(page, self.language)(code)
        except Exception:
            reason = traceback.format_exc(limit=-2)
            place = f"{self.env.docname}, line {self.lineno}"
            raise ExtensionError(f"{place}: a block of the page failed\n{code}\n{reason}") from None
        if output.strip():
            shown.append(self._literal(self._cut(output), "text", "output"))
        if "figure" in self.options:
            shown.append(self._figure(page))
        return shown

    def _cut(self, output: str) -> str:
        lines = [line.rstrip() for line in output.strip("\n").splitlines()]
        most = self.options.get("lines", len(lines))
        return "\n".join(lines[:most] + ["…"] * (len(lines) > most))

    def _literal(self, text: str, language: str, kind: str = "input") -> nodes.literal_block:
        return nodes.literal_block(text, text, language=language, classes=[kind])

    def _figure(self, page: Page) -> nodes.image:
        source = page.folder / self.options["figure"]
        name = f"{self.env.docname.replace('/', '-')}-{source.name}"
        target = Path(self.env.srcdir) / "_executed" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        return nodes.image(uri=f"/_executed/{name}", alt=self.options["alt"], width="100%")


class Python(Executed):
    """Python code."""

    language = "python"


class Shell(Executed):
    """Commands of the shell."""

    language = "shell"


def _forget(*_: object) -> None:
    for page in _pages.values():
        shutil.rmtree(page.folder, ignore_errors=True)
    _pages.clear()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    app.add_directive("python", Python)
    app.add_directive("shell", Shell)
    app.connect("env-purge-doc", lambda app, env, docname: _pages.pop(docname, None))
    app.connect("build-finished", _forget)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
