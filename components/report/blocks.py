"""The building blocks of the page: what a section is made of, before it is HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from markupsafe import Markup

from components.report.record import NodeState, RunRecord

Tone = Literal["", "good", "warn", "bad", "strong"]
MAX_ROWS = 40


class Cell(NamedTuple):
    text: str
    tone: Tone = ""
    note: str = ""


@dataclass(frozen=True)
class Tile:
    """One figure with its name."""

    label: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Tiles:
    kind: ClassVar = "tiles"
    tiles: list[Tile]


@dataclass(frozen=True)
class Chart:
    """An ``<svg>`` element of ours under a title; it is not escaped again."""

    kind: ClassVar = "chart"
    title: str
    svg: Markup
    note: str = ""

    @classmethod
    def of(cls, title: str, svg: str, note: str = "") -> "Chart":
        return cls(title, Markup(svg), note)  # noqa: S704  matplotlib has escaped the text in it


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
      text_columns: how many columns, from the left, hold words; the others hold figures, set flush right.
      more: how many rows are left out; folded: shown only when asked for.
    """

    kind: ClassVar = "table"
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    text_columns: int = 1
    more: int = 0
    folded: bool = False

    @classmethod
    def of(
        cls,
        title: str,
        columns: list[str],
        rows: Sequence[Sequence[str | Cell]],
        text_columns: int = 1,
        limit: int = MAX_ROWS,
        folded: bool = False,
    ) -> "Table":
        cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows[:limit]]
        return cls(title, columns, cells, text_columns, max(0, len(rows) - limit), folded)


@dataclass(frozen=True)
class Charts:
    """Charts, and tables as narrow as they, two in a row where there is room; ``small``: three."""

    kind: ClassVar = "charts"
    charts: Sequence[Chart | Table]
    small: bool = False


@dataclass(frozen=True)
class Notice:
    """A sentence; ``good``, ``warn`` and ``bad`` ones stand out."""

    kind: ClassVar = "notice"
    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Commands:
    """Lines to type, with what each does."""

    kind: ClassVar = "commands"
    lines: list[tuple[str, str]]


@dataclass(frozen=True)
class ListedItem:
    item_id: str
    title: str
    score: str = ""
    wanted: bool = False


@dataclass(frozen=True)
class SampleList:
    """What one user had, what was recommended, and what they wanted next."""

    user_id: str
    outcome: str
    hit: bool
    history: list[ListedItem]
    recommended: list[ListedItem]
    open: bool


@dataclass(frozen=True)
class SampleLists:
    kind: ClassVar = "samples"
    samples: list[SampleList]


Block = Tiles | Charts | Table | Notice | Commands | SampleLists


def absence(record: RunRecord, node: str) -> Notice:
    """Why there is nothing to show of a node."""
    state = record.node(node).state
    if state is NodeState.FAILED:
        return Notice(f"{node} failed in this run, so there is nothing to show.", "bad")
    if state is NodeState.RUNNING:
        return Notice(f"{node} was still running when this page was written.", "warn")
    if state is NodeState.NOT_REACHED:
        return Notice(f"Not reached: this run ended before {node}.", "warn")
    return Notice(f"{node} ran, but its files are gone from the work directory.", "warn")
