"""Recall: several cheap sources, merged into one list of candidates. Items are rows of the release's catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.gateway.release import Release

Rows = NDArray[np.int32]
RECENT_ITEMS = 5
MOST_OVERFETCH = 8  # where almost nothing may be shown, the lists that hold only what may be must do


@dataclass(frozen=True)
class Known:
    """What recall reads of one request.

    Attributes:
      embedding: float32 [dim]; of the query tower, None where it did not answer.
      history: int32 [h]; most recent first.
      left_out: int32 [m]; rows that must not come back.
    """

    embedding: NDArray[np.float32] | None
    history: Rows
    left_out: Rows


@dataclass(frozen=True)
class Candidates:
    """Attributes: rows: int32 [n], each once; sources: for each, the names of the sources that found it."""

    rows: Rows
    sources: list[tuple[str, ...]]

    def also(self, rows: Rows, source: str) -> "Candidates":
        """With those of ``rows`` that were not found, at the end."""
        added = rows[~np.isin(rows, self.rows)]
        return Candidates(np.concatenate([self.rows, added]), [*self.sources, *[(source,)] * len(added)])


def two_tower(release: Release, known: Known, count: int) -> Rows:
    """The items nearest to the query, by ScaNN."""
    if known.embedding is None:
        return np.zeros(0, np.int32)
    rows, _ = release.index.search(known.embedding[np.newaxis], count)
    return rows[0]


def similar_items(release: Release, known: Known, count: int) -> Rows:
    """The items nearest to the most recent ones of the history, in turn: the best of each, then the second of each, …"""
    recent = known.history[:RECENT_ITEMS]
    if not len(recent):
        return np.zeros(0, np.int32)
    rows, _ = release.index.search(release.vectors[recent], 1 + count // len(recent))
    return rows.T.ravel()


SOURCES: Mapping[str, Callable[[Release, Known, int], Rows]] = {
    "two_tower": two_tower,
    "similar_items": similar_items,
    "trending": lambda release, known, count: release.trending[:count],
    "popular": lambda release, known, count: release.popular[:count],
    "fresh": lambda release, known, count: release.fresh[:count],
}

WITHOUT_MODELS = frozenset({"trending", "popular", "fresh"})  # these always find something


def recall(release: Release, known: Known, quotas: Mapping[str, int], count: int) -> Candidates:
    """Each source's best up to its quota, then what is left of them in the order of the quotas, till ``count`` are found.

    A source is asked for as many more as may have to be left out: those of the request, and those that the release
    does not allow.
    """
    wanted = min(count, len(release.item_ids))
    allowed = release.allowed.copy()
    allowed[known.left_out] = False
    enough = int((wanted + len(known.left_out)) * min(MOST_OVERFETCH, 1 / max(release.allowed_share, 1e-9)))
    found: dict[str, Rows] = {}
    for name in quotas:
        rows = SOURCES[name](release, known, enough)
        rows = rows[rows >= 0]
        found[name] = rows[allowed[rows]]
    finders: dict[int, list[str]] = {}
    for name, rows in found.items():
        for row in dict.fromkeys(rows.tolist()):
            finders.setdefault(row, []).append(name)
    first = [rows[: quotas[name]] for name, rows in found.items()]
    rest = [rows[quotas[name] :] for name, rows in found.items()]
    chosen = list(dict.fromkeys(np.concatenate([*first, *rest]).tolist()))[:wanted]
    return Candidates(np.array(chosen, np.int32), [tuple(finders[row]) for row in chosen])
