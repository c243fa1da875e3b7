"""Steps that move items whatever their scores: caps on the values of a feature, and pinned places."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.settings import Cap

AT_ONCE = 32
Values = Sequence[str]


def caps_step(ranked: Ranked, context: Context, caps: Sequence[Cap]) -> Ranked:
    values = [FeatureValues(context.release.items.column(cap.feature), ranked.rows) for cap in caps]
    order, over = capped(values, caps)
    return ranked.ordered(np.array(order, np.intp), lambda place: over.get(place, "moved up past capped items"))


def capped(values: Sequence[Sequence[Values]], caps: Sequence[Cap]) -> tuple[list[int], dict[int, str]]:
    """The order in which, as long as there is another item, each value has at most ``most`` items in the ``top`` places.

    Args:
      values: of each cap, of each item, what the item has of the cap's feature; an item counts for all its values.

    Returns:
      The order, in which every item moves down no further than it must; and for each item that a cap held back, why.
    """
    order: list[int] = []
    over: dict[int, str] = {}
    waiting = list(range(len(values[0])))
    counts: list[Counter[str]] = [Counter() for _ in caps]

    def put(item: int) -> None:
        order.append(item)
        for count, of in zip(counts, values, strict=True):
            count.update(of[item])

    # Between two caps' ends, counts only grow: what a cap holds back once, it holds back till then.
    for top in sorted({min(cap.top, len(waiting)) for cap in caps}):
        active = [each for each in zip(caps, counts, values, strict=True) if each[0].top >= top]
        held: list[int] = []
        at = 0
        while len(order) < top and at < len(waiting):
            item = waiting[at]
            at += 1
            full = [(cap, value) for cap, count, of in active for value in of[item] if count[value] >= cap.most]
            if full:
                cap, value = full[0]
                over.setdefault(item, f"{cap.most} of {cap.feature}={value} are above it, the most in {cap.top} places")
                held.append(item)
            else:
                put(item)
        short = max(0, top - len(order))
        for item in held[:short]:
            put(item)
            over[item] += "; nothing else was left"
        waiting = held[short:] + waiting[at:]
    return order + waiting, over


def pinned_step(ranked: Ranked, context: Context, pinned: Mapping[str, int]) -> Ranked:
    places = {row: place for item, place in pinned.items() for row in context.release.rows([item]).tolist()}
    at = {index: places[row] for index, row in enumerate(ranked.rows.tolist()) if row in places}
    order = pinned_order(len(ranked.rows), at)
    return ranked.ordered(
        np.array(order, np.intp), lambda place: f"pinned to place {at[place]}" if place in at else "made room for pinned items"
    )


def pinned_order(count: int, at: Mapping[int, int]) -> list[int]:
    """The order of ``count`` items in which item ``i`` is at place ``at[i]`` (from 1), or last where there are fewer."""
    order = [item for item in range(count) if item not in at]
    for item, place in sorted(at.items(), key=lambda pair: pair[1]):
        order.insert(place - 1, item)
    return order


class FeatureValues(Sequence[Values]):
    """What each of some items has of a feature, looked up when it is first asked for: of hundreds, caps ask for the first few.

    Args:
      column: of the catalogue, text or lists of text.
      rows: int32 [n].
    """

    def __init__(self, column: pa.ChunkedArray, rows: NDArray[np.int32]) -> None:
        self._column, self._rows = column, rows
        self._known: list[Values] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        if place >= len(self):
            raise IndexError(place)
        while place >= len(self._known):
            self._known += _values(self._column, self._rows[len(self._known) :][:AT_ONCE])
        return self._known[place]


def _values(column: pa.ChunkedArray, rows: NDArray[np.int32]) -> list[Values]:
    """By whole columns: to make a Python object of each item's list takes ten times as long."""
    taken = column.take(rows).combine_chunks()
    if not pa.types.is_list(taken.type):
        return [() if value is None else (value,) for value in taken.to_numpy(zero_copy_only=False)]
    flat = taken.flatten().to_numpy(zero_copy_only=False).tolist()
    ends = np.cumsum(pc.fill_null(pc.list_value_length(taken), 0)).tolist()
    return [flat[start:end] for start, end in zip([0, *ends][:-1], ends, strict=True)]
