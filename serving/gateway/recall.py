"""Recall: several cheap sources, merged into one list of candidates. Items are rows of the release's catalogue."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.index.index import MISSING, ExactIndex
from serving.gateway.release import Release

Rows = NDArray[np.int32]
RECENT_ITEMS = 5
# Of the items that may not come back, how many are made up for at first: a search takes the longer the more it is to find,
# and what users have had is mostly not all among what is nearest to them.
MADE_UP_FOR = 2_000


@dataclass(frozen=True)
class Known:
    """What recall reads of one request.

    Attributes:
      embedding: float32 [dim]; of the query tower, None where it did not answer.
      history: int32 [h]; most recent first.
      left_out: int32 [m]; rows that must not come back.
      fitting: bool [n]; the rows that fit the request's filters, None for all.
      segment: int32 [s]; what is popular among users like this one, best first.
    """

    embedding: NDArray[np.float32] | None
    history: Rows
    left_out: Rows
    fitting: NDArray[np.bool_] | None = None
    segment: Rows = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True)
class Candidates:
    """Attributes: rows: int32 [n], each once; found: source → what it found, of which ``rows`` may leave some out."""

    rows: Rows
    found: Mapping[str, Rows]

    def also(self, rows: Rows, source: str) -> "Candidates":
        """With those of ``rows`` that were not found, at the end."""
        added = rows[~np.isin(rows, self.rows)]
        return Candidates(np.concatenate([self.rows, added]), {**self.found, source: added})

    def sources(self, rows: Sequence[int]) -> list[tuple[str, ...]]:
        """For each of ``rows`` the names of the sources that found it; told of those that are shown, a few of hundreds."""
        found = {name: set(of_source.tolist()) for name, of_source in self.found.items()}
        return [tuple(name for name, of_source in found.items() if row in of_source) for row in rows]


class Allowed:
    """The rows of a release that may come back, and the best of them.

    More are fetched than are wanted, by the share that the filters let through and by those that the request leaves out: at
    first by ``MADE_UP_FOR`` of these at most, and by all only where that has brought too few. Where it would have to be more
    than the filters let through, these are looked at one by one instead, so that a narrow filter finds what there is.
    """

    def __init__(self, release: Release, known: Known) -> None:
        self.release = release
        self.mask = release.allowed.copy() if known.fitting is None else release.allowed & known.fitting
        self._fitting_count = max(1, int(np.count_nonzero(self.mask)))
        self.mask[known.left_out] = False
        self._left_out_count = len(known.left_out)

    def first(self, ranking: Rows, count: int) -> Rows:
        """The first ones of a ranking."""
        reach = self._reach(count, MADE_UP_FOR)
        while True:
            found = ranking[:reach][self.mask[ranking[:reach]]]
            if len(found) >= count or reach >= len(ranking):
                return found[:count]
            reach *= 8

    def nearest(self, queries: NDArray[np.float32], count: int) -> Rows:
        """int32 [num_queries, …]; rows best first, ``MISSING`` where one may not come back."""
        reach, whole_reach = self._reach(count, MADE_UP_FOR), self._reach(count, self._left_out_count)
        if reach < self._fitting_count:
            rows = self._searched(queries, reach)
            if reach == whole_reach or (np.count_nonzero(rows != MISSING, axis=1) >= count).all():
                return rows
        if whole_reach < self._fitting_count:
            return self._searched(queries, whole_reach)
        allowed = np.flatnonzero(self.mask).astype(np.int32)
        if not len(allowed):
            return np.zeros((len(queries), 0), np.int32)
        return allowed[ExactIndex(self.release.vectors[allowed]).search(queries, count)[0]]

    def _searched(self, queries: NDArray[np.float32], reach: int) -> Rows:
        rows, _ = self.release.index.search(queries, reach)
        return np.where(self.mask[rows], rows, MISSING)

    def _reach(self, count: int, made_up_for: int) -> int:
        fetched = math.ceil(count * len(self.mask) / self._fitting_count) + min(self._left_out_count, made_up_for)
        return min(len(self.mask), fetched)


def two_tower(allowed: Allowed, known: Known, count: int) -> Rows:
    """The items nearest to the query, by ScaNN."""
    if known.embedding is None:
        return np.zeros(0, np.int32)
    return allowed.nearest(known.embedding[np.newaxis], count)[0]


def similar_items(allowed: Allowed, known: Known, count: int) -> Rows:
    """The items nearest to the most recent ones of the history, in turn: the best of each, then the second of each, …"""
    recent = known.history[:RECENT_ITEMS]
    if not len(recent):
        return np.zeros(0, np.int32)
    return allowed.nearest(allowed.release.vectors[recent], 1 + count // len(recent)).T.ravel()


def item_to_item(allowed: Allowed, known: Known, count: int) -> Rows:
    """What goes with the most recent items of the history, by who had both."""
    recent = known.history[: allowed.release.config.item_to_item.history]
    return allowed.first(allowed.release.neighbours.similar(recent), count)


SOURCES: Mapping[str, Callable[[Allowed, Known, int], Rows]] = {
    "two_tower": two_tower,
    "item_to_item": item_to_item,
    "similar_items": similar_items,
    "segment": lambda allowed, known, count: allowed.first(known.segment, count),
    "trending": lambda allowed, known, count: allowed.first(allowed.release.trending, count),
    "popular": lambda allowed, known, count: allowed.first(allowed.release.popular, count),
    "fresh": lambda allowed, known, count: allowed.first(allowed.release.fresh, count),
}

WITHOUT_MODELS = frozenset({"trending", "popular", "fresh"})  # these always find something


def recall(release: Release, known: Known, quotas: Mapping[str, int], count: int) -> Candidates:
    """Each source's best up to its quota, then what is left of them in the order of the quotas, till ``count`` are found."""
    wanted = min(count, len(release.item_ids))
    allowed = Allowed(release, known)
    found: dict[str, Rows] = {}
    for name in quotas:
        rows = SOURCES[name](allowed, known, wanted)
        found[name] = rows[rows != MISSING]
    first = [rows[: quotas[name]] for name, rows in found.items()]
    rest = [rows[quotas[name] :] for name, rows in found.items()]
    return Candidates(_once(np.concatenate([*first, *rest]).astype(np.int32), len(release.item_ids))[:wanted], found)


def _once(rows: Rows, item_count: int) -> Rows:
    """Each row at its first place alone; unlike ``np.unique``, which is five times as slow here, without sorting."""
    first = np.empty(item_count, np.int32)
    first[rows[::-1]] = np.arange(len(rows) - 1, -1, -1, dtype=np.int32)  # of equal ones, what is assigned last stays
    return rows[first[rows] == np.arange(len(rows))]
