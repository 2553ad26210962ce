"""Figures as the content of files and pages, the same bytes for the same figure."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import fontTools.subset
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from PIL import Image

from preflamp_stats.outputs.figures.style import plotting

KINDS = ("pdf", "png")
"""A PDF for print, and a PNG of few colours for pages."""

_DPI = 300

_COLOURS = 128
"""Colours of a PNG: a figure has few. A third of the size of one with all of them."""

_COMMON = frozenset([*range(0x20, 0x7F), *range(0xA0, 0x100)]) | set(
    map(ord, "–—‘’“”…−≤≥≠≈→←∞√□τρσθΔﬀﬁﬂﬃﬄ")
)
"""Characters of nearly every figure."""


def render(figure: Figure, kinds: Sequence[str] = KINDS) -> dict[str, bytes]:
    """Render a figure in several ways.

    Parameters
    ----------
    figure : Figure
        Laid out already; :meth:`~matplotlib.figure.Figure.savefig` would draw it a second time to
        do so.
    kinds : sequence of str
        Of :data:`KINDS`.

    Returns
    -------
    dict of str to bytes
        By kind; without dates. PDF keeps text as text.
    """
    with plotting():
        return {kind: _pdf(figure) if kind == "pdf" else _png(_pixels(figure)) for kind in kinds}


def _pdf(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with _few_glyphs():
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=undated)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


_load_font: Any = fontTools.subset.load_font
_Subsetter: Any = fontTools.subset.Subsetter


@contextmanager
def _few_glyphs() -> Iterator[None]:
    """Let a PDF cut its fonts from ones that hold the common characters alone.

    Cutting a whole font to the glyphs in use is most of what writing a figure takes, and is here
    done once for all figures.
    """
    fontTools.subset.load_font, fontTools.subset.Subsetter = _load_named, _FromCommon
    try:
        yield
    finally:
        fontTools.subset.load_font, fontTools.subset.Subsetter = _load_font, _Subsetter


def _load_named(path: Any, *args: Any, **options: Any) -> Any:
    font = _load_font(path, *args, **options)
    font.source = str(path)
    return font


class _FromCommon(_Subsetter):  # type: ignore[misc]
    def subset(self, font: Any) -> None:
        content, glyphs = _common_font(font.source)
        common = not self.glyph_names_requested and set(self.glyph_ids_requested) <= glyphs
        if common and set(self.unicodes_requested) <= _COMMON:
            font.close()
            font.__dict__ = _load_font(io.BytesIO(content), self.options).__dict__
        super().subset(_without_layout(font))


@cache
def _common_font(path: str) -> tuple[bytes, frozenset[int]]:
    """A font cut to the common characters, glyphs under their own numbers, and these numbers."""
    options = fontTools.subset.Options(glyph_names=True, recommended_glyphs=True, retain_gids=True)
    font, cut = _without_layout(_load_font(path, options)), _Subsetter(options)
    numbers = font.getReverseGlyphMap()
    cut.populate(unicodes=_COMMON)
    cut.subset(font)
    content = io.BytesIO()
    font.save(content, reorderTables=False)
    font.close()
    return content.getvalue(), frozenset(numbers[name] for name in cut.glyphs_retained)


def _without_layout(font: Any) -> Any:
    """Leave rules of substitution and kerning out: a PDF names every glyph and its place."""
    for table in {"GSUB", "GPOS", "GDEF", "kern", "FFTM"} & set(font.keys()):
        del font[table]
    return font


def _pixels(figure: Figure) -> Image.Image:
    """Pixels at the resolution of print; a figure is opaque, so that its alpha says nothing."""
    screen = figure.dpi
    figure.set_dpi(_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height(physical=True)
    pixels = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    figure.set_dpi(screen)
    return pixels.convert("RGB")


def _png(pixels: Image.Image) -> bytes:
    buffer = io.BytesIO()
    few = pixels.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", dpi=(_DPI, _DPI))
    return buffer.getvalue()
