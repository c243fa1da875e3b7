"""Charts as SVG that can stand inside a page: small, the same for the same data, readable by a screen reader."""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, GRID = "#1e293b", "#64748b", "#e2e8f0"
TEXT_PX, SMALL_PX = 12, 11
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "winnow",
    "svg.fonttype": "none",  # the browser draws the text: any script, selectable, and much smaller than outlines
    "text.parse_math": False,  # a title may hold two dollar signs
    "font.family": "sans-serif",
    "font.size": TEXT_PX,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL_PX,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL_PX,
    "ytick.labelsize": SMALL_PX,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": SMALL_PX,
    "lines.linewidth": 1.8,
    "date.converter": "concise",
    "path.simplify": True,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def svg(name: str, label: str, size: tuple[int, int], draw: Callable[[Axes], None]) -> str:
    """An ``<svg>`` element.

    Args:
      name: of the chart, unique in the page; label: what it shows, for those who do not see it.
      size: width and height in CSS pixels at full size.
    """
    width, height = size
    file = io.StringIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Text is only measured here, so a script that matplotlib's own font lacks does no harm.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
    return _inline(file.getvalue(), name, label, width)


def _inline(document: str, name: str, label: str, width: int) -> str:
    """Without what only a file needs, and with ids that no other chart of the page has."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[\w.]+">', "<g>", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r' id="(\w+)"', rf' id="{name}-\1"', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font-family: [^;\"]+", "font-family: inherit", body)
    body = re.sub(r"(?<=[^>])\n", " ", body)  # paths are broken into a line a point
    body = re.sub(r"\n\s*", "", body)
    viewbox = re.search(r'viewBox="[^"]+"', body)
    assert viewbox, "matplotlib writes a viewBox"  # noqa: S101
    opening = f'<svg role="img" aria-label="{escape(label)}" style="max-width:{width}px" {viewbox[0]}>'
    return opening + body[body.index(">") + 1 :].strip()
