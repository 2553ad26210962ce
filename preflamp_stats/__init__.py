"""Does a better personalised reward model make a better personalised assistant?

Names are imported when they are first used, so that ``import preflamp_stats`` costs little. Which
there are, and where each is at home, stands once: in ``__init__.pyi``, which editors and type
checkers read too.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

with open(f"{__file__}i", encoding="utf-8") as _stub:
    # A name a line: from HOME import NAME as NAME
    _HOME = {
        line.split()[-1]: line.split()[1] for line in _stub if line.startswith("from preflamp")
    }

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(importlib.import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
