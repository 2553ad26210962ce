"""Figures as the content of files and pages, the same bytes for the same figure."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fontTools.subset
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from PIL import Image

from preflamp_stats.outputs.figures.style import plotting

KINDS = ("pdf", "png", "palette")
"""A PDF, a PNG for print, and a PNG of few colours for a page."""

_DPI = 300

_COLOURS = 128
"""Colours of a palette: a figure has few. A third of the size of the PNG with all of them."""

_COMPRESSION = 3
"""Of a PNG, 0 to 9: 6 makes files a tenth smaller and takes two fifths longer."""


def render(figure: Figure, kinds: Sequence[str] = KINDS) -> dict[str, bytes]:
    """Render a figure in several ways, its pixels once for all that need them.

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
        pixels: Any = _pixels(figure) if {"png", "palette"} & set(kinds) else None
        return {kind: _pdf(figure) if kind == "pdf" else _png(pixels, kind) for kind in kinds}


def _pdf(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    with _without_layout_tables():
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=undated)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


@contextmanager
def _without_layout_tables() -> Iterator[None]:
    """Leave a font's rules of substitution and kerning out where it is embedded.

    A PDF of matplotlib's names every glyph and its place, so that nothing reads them; cutting them
    to the glyphs in use is half of what writing a figure takes.
    """
    load: Any = fontTools.subset.load_font

    def load_font(*args: Any, **options: Any) -> Any:
        font = load(*args, **options)
        for table in {"GSUB", "GPOS", "GDEF", "kern"} & set(font.keys()):
            del font[table]
        return font

    fontTools.subset.load_font = load_font
    try:
        yield
    finally:
        fontTools.subset.load_font = load


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


def _png(pixels: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "palette":
        few = Image.Quantize.FASTOCTREE
        pixels.quantize(_COLOURS, method=few, dither=Image.Dither.NONE).save(buffer, "PNG")
    else:
        pixels.save(buffer, "PNG", dpi=(_DPI, _DPI), compress_level=_COMPRESSION)
    return buffer.getvalue()
