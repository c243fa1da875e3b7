"""A release with the items changed since it was made: a release like any other, which shares what has not changed.

An item that the release has keeps its row; a new one gets a row after the last. A withdrawn one keeps its row too, but
nothing leads there any more. The changed vectors, at most some thousands, are searched exactly beside the index.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.index.index import MISSING, ExactIndex, Index
from components.schema.catalogue import items_schema
from serving.gateway.filters import CatalogueFilter, OverlaidFilter
from serving.gateway.item_values import still_fitting
from serving.gateway.release import Release, Vectors
from serving.item_store import ItemChange, LiveItem


class LiveIndex:
    """An index with other vectors for some of its rows, and with further rows: both are searched exactly.

    Args:
      base: over the rows 0 to ``base_count`` - 1.
      rows: int32 [m]; vectors: float32 [m, dim]; of these rows.
    """

    def __init__(self, base: Index, base_count: int, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        self._base, self._rows, self._live = base, rows, ExactIndex(vectors)
        self._stale = np.zeros(base_count, bool)
        self._stale[rows[rows < base_count]] = True
        self._stale_count = int(self._stale.sum())

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        # At most twice as many: only where more than k of the best 2 k have changed can one that fits less be missed.
        rows, scores = self._base.search(queries, k + min(k, self._stale_count))
        scores = np.where((rows == MISSING) | self._stale[rows], -np.inf, scores)
        live_rows, live_scores = self._live.search(queries, k)
        all_rows = np.concatenate([rows, self._rows[live_rows]], axis=1)
        all_scores = np.concatenate([scores, live_scores], axis=1)
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(all_scores, order, 1).astype(np.float32)
        found = np.take_along_axis(all_rows, order, 1)
        return np.where(np.isneginf(best), MISSING, found).astype(np.int32), best


class LiveVectors:
    """An array of vectors with others at some of its rows, and with further rows: read by row, and never copied as a whole.

    Args:
      base: float32 [base_count, dim].
      rows: int32 [m]; vectors: float32 [m, dim]; of these rows.
      count: of the rows in all.
    """

    def __init__(self, base: Vectors, rows: NDArray[np.int32], vectors: NDArray[np.float32], count: int) -> None:
        self._base, self._live = base, vectors
        self._place = np.full(count, MISSING, np.int32)
        self._place[rows] = np.arange(len(rows), dtype=np.int32)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._place), self._live.shape[1]

    def __getitem__(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        place = self._place[rows]
        made = self._base[np.where(place == MISSING, rows, 0)]
        made[place != MISSING] = self._live[place[place != MISSING]]
        return made


def overlaid(base: Release, changes: Sequence[ItemChange], vectors: NDArray[np.float32], number: int) -> Release:
    """``base`` with the changes.

    Args:
      changes: the last one of each item.
      vectors: float32 [m, dim]; of the items put in, in the order of ``changes``, by the release's own item tower.
      number: the release's ``live_number``.
    """
    put = [(change.item_id, change.item) for change in changes if change.item is not None]
    withdrawn = [change.item_id for change in changes if change.item is None]
    row_of_item = dict(base.row_of_item)
    for item_id, _ in put:
        row_of_item.setdefault(item_id, len(row_of_item))
    count, base_count = len(row_of_item), len(base.item_ids)
    added = np.arange(base_count, count, dtype=np.int32)
    rows = np.array([row_of_item[item_id] for item_id, _ in put], np.int32)
    allowed = np.ones(count, bool)
    allowed[[row for item in withdrawn if (row := row_of_item.pop(item, None)) is not None]] = False
    live = _table(base, put)
    titles = [*base.titles, *[""] * len(added)]
    for row, (_, item) in zip(rows.tolist(), put, strict=True):
        titles[row] = item.title
    return dataclasses.replace(
        base,
        base=base,
        live_number=number,
        items=_replaced(base.items, live, rows),
        item_ids=_with(base.item_ids, rows, np.array([item_id for item_id, _ in put], object), count),
        titles=titles,
        row_of_item=row_of_item,
        vectors=LiveVectors(base.vectors, rows, vectors, count),
        index=LiveIndex(base.index, base_count, rows, vectors) if put else base.index,
        filter=OverlaidFilter(base.filter, CatalogueFilter(live, base.config.dataset.item_features), rows, count),
        event_counts=np.append(base.event_counts, np.zeros(len(added), np.int64)),
        allowed=np.append(base.allowed, np.ones(len(added), bool)),
        popular=np.append(base.popular, added),
        trending=np.append(base.trending, added),
        fresh=_merged(base, rows, live),
    ).restricted(allowed)


def _table(base: Release, put: Sequence[tuple[str, LiveItem]]) -> pa.Table:
    """The items put in, in the form of the catalogue."""
    columns = base.config.dataset.item_features
    rows = [
        {"item_id": item_id, "title": item.title, "created_ms": item.created_ms, **still_fitting(item.features, columns)}
        for item_id, item in put
    ]
    return pa.Table.from_pylist(rows, schema=items_schema(columns)).cast(base.items.schema)


def _replaced(items: pa.Table, live: pa.Table, rows: NDArray[np.int32]) -> pa.Table:
    """The catalogue with ``live`` at its rows, put together of slices, which copies nothing."""
    pieces, start = [], 0
    for place in np.argsort(rows).tolist():
        row = int(rows[place])
        pieces += [items.slice(start, row - start), live.slice(place, 1)]
        start = row + 1
    return pa.concat_tables([*pieces, items.slice(start)])


def _merged(base: Release, rows: NDArray[np.int32], live: pa.Table) -> NDArray[np.int32]:
    """int32 [n]; the rows by the moment since when an item exists, newest first."""
    rest = base.fresh[~np.isin(base.fresh, rows)]
    created, live_created = (table.column("created_ms").to_numpy() for table in (base.items, live))
    order = np.argsort(-live_created, kind="stable")
    return np.insert(rest, np.searchsorted(-created[rest], -live_created[order]), rows[order])


def _with(values: NDArray, rows: NDArray[np.int32], changed: NDArray, count: int) -> NDArray:
    made = np.concatenate([values, np.zeros(count - len(values), values.dtype)])
    made[rows] = changed
    return made
