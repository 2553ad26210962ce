"""Hold the code to its size, look for import circles, and for imports inside functions.

``python .ci/house.py`` prints the code lines of each part, a circle of files if there is one
(imports inside functions and for types alone count), and the imports of our own modules inside
functions. Those may only save the cost of an import: commands make them so that ``--help`` is
quick, and elsewhere a comment beside each says why. It ends with status 1 where something is too
large, goes in a circle or says nothing. Which part may import which is in pyproject.toml, read by
``lint-imports``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {"preflamp_stats": ROOT, "preflamp_backend": ROOT / "backend"}
LIMITS = {"preflamp_stats": 16_450, "backend": 9_010, "benchmarks": 5_030}
"""Most code lines of a folder: what it has today, so that it only shrinks; 9,500, 6,500 and 3,500
are wanted."""


def code_lines(source: str) -> int:
    """Lines that are neither blank, nor a comment, nor text that stands alone (a docstring)."""
    alone = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate((line.strip() for line in source.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and at not in alone for at, line in lines)


def sizes(folder: Path) -> int:
    """Code lines of all files below a folder."""
    return sum(code_lines(path.read_text(encoding="utf-8")) for path in folder.rglob("*.py"))


def imported(path: Path, package: str, root: Path) -> Iterator[tuple[str, ast.stmt, bool]]:
    """Yield each module of the package that a file imports, where, and if inside a function."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, ast.stmt, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                names = [alias.name for alias in child.names]
            elif isinstance(child, ast.ImportFrom) and child.module:
                # A name of a package may be a module of it.
                names = [f"{child.module}.{alias.name}" for alias in child.names]
            else:
                names = []
            for name in names:
                if name.split(".")[0] == package and (module := _module(name, root)):
                    yield module, child, inside
            yield from visit(child, inside or isinstance(child, ast.FunctionDef | ast.Lambda))

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def _module(name: str, root: Path) -> str:
    """File of a module, or of the one that holds this name; relative to the root."""
    path = root.joinpath(*name.split("."))
    for each in (path / "__init__.py", path.with_suffix(".py")):
        if each.exists():
            return str(each.relative_to(root))
    return _module(name.rpartition(".")[0], root) if "." in name else ""


def circle(package: str, root: Path) -> list[str]:
    """Files that import one another in a circle, first and last the same; none is as it should."""
    graph = {
        str(path.relative_to(root)): {module for module, _, _ in imported(path, package, root)}
        for path in sorted((root / package).rglob("*.py"))
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(each) for each in error.args[1]]
    return []


def deferred(package: str, root: Path) -> Iterator[tuple[str, bool]]:
    """Yield each import of our own inside a function, and whether it is a command's or says why."""
    for path in sorted((root / package).rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found = {each.lineno: each for _, each, inside in imported(path, package, root) if inside}
        for line, statement in found.items():
            beside = lines[line - 2 : statement.end_lineno]
            name = path.relative_to(root)
            explained = name.parts[1] == "cli" or any("# " in text for text in beside)
            yield f"{name}:{line}: {lines[line - 1].strip()}", explained


def main() -> int:
    """Print, and say if all is well."""
    wrong = 0
    for folder, limit in LIMITS.items():
        found = sizes(ROOT / folder)
        wrong += found > limit
        print(f"{folder}: {found:,} code lines, at most {limit:,}{' TOO MANY' * (found > limit)}")
    for package, root in PACKAGES.items():
        if found := circle(package, root):
            wrong += 1
            print(f"{package}: a circle of imports: {' -> '.join(found)}")
        inside = list(deferred(package, root))
        print(f"{package}: {len(inside)} imports inside functions, all but these of commands")
        for where, explained in inside:
            wrong += not explained
            if "/cli/" not in where:
                print(f"  {where}{'' if explained else '  WITHOUT A COMMENT THAT SAYS WHY'}")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
