"""Filters on item features: which rows of a catalogue fit a request's conditions.

Each value of a text-like feature keeps its rows, and each number its column, so that a condition costs as much as it
finds. An item of which the feature is unknown fits no condition on it.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import FeatureColumn, FeatureKind
from serving.gateway.api import Condition
from serving.gateway.errors import UnfitRequestError

NUMBERS = (FeatureKind.NUMBER, FeatureKind.TIMESTAMP)
Mask = NDArray[np.bool_]


class ItemFilter(Protocol):
    def passing(self, conditions: Sequence[Condition]) -> Mask:
        """bool [n]; the rows that fit all conditions.

        Raises:
          UnfitRequestError: there is no such feature, or it is of another kind than the condition.
        """


class CatalogueFilter:
    """Of the items of a table, whose columns are in the form of the catalogue."""

    def __init__(self, items: pa.Table, columns: Mapping[str, FeatureColumn]) -> None:
        self._columns, self._count = columns, items.num_rows
        self._numbers = {
            name: _numbers(items.column(name)) for name, column in columns.items() if column.kind in NUMBERS
        }  # fmt: skip
        self._rows = {name: _rows(items.column(name)) for name in columns if name not in self._numbers}

    def passing(self, conditions: Sequence[Condition]) -> Mask:
        passing = np.ones(self._count, bool)
        for place, condition in enumerate(conditions):
            self._check(condition, place)
            passing &= self._fitting(condition)
        return passing

    def _check(self, condition: Condition, place: int) -> None:
        column = self._columns.get(condition.feature)
        if column is None:
            known = ", ".join(self._columns) or "none at all"
            raise UnfitRequestError(
                ("filters", place, "feature"), f"found {condition.feature!r}, wanted a feature of the items: {known}"
            )
        if column.kind in NUMBERS and condition.one_of is not None:
            raise UnfitRequestError(
                ("filters", place, "one_of"), f"{condition.feature} is a {column.kind}; wanted at_least or at_most"
            )
        if column.kind not in NUMBERS and condition.one_of is None:
            field = "at_most" if condition.at_least is None else "at_least"
            raise UnfitRequestError(("filters", place, field), f"{condition.feature} is of kind {column.kind}; wanted one_of")

    def _fitting(self, condition: Condition) -> Mask:
        if condition.one_of is None:
            values = self._numbers[condition.feature]
            # Compared as the catalogue holds them: 9.99 is not at least 9.99 where one of the two has more digits.
            low = values.dtype.type(-np.inf if condition.at_least is None else condition.at_least)
            high = values.dtype.type(np.inf if condition.at_most is None else condition.at_most)
            return (values >= low) & (values <= high)
        fitting = np.zeros(self._count, bool)
        text = self._columns[condition.feature].kind is FeatureKind.TEXT
        for value in condition.one_of:
            fitting[self._rows[condition.feature].get(value.lower() if text else value, [])] = True
        return fitting


class OverlaidFilter:
    """Of a catalogue in which ``rows`` (int32 [m]) hold the items of another one, and which has ``count`` rows then."""

    def __init__(self, base: ItemFilter, live: ItemFilter, rows: NDArray[np.int32], count: int) -> None:
        self._base, self._live, self._rows, self._count = base, live, rows, count

    def passing(self, conditions: Sequence[Condition]) -> Mask:
        of_base = self._base.passing(conditions)
        passing = np.zeros(self._count, bool)
        passing[: len(of_base)] = of_base
        passing[self._rows] = self._live.passing(conditions)
        return passing


def _numbers(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """NaN where unknown; a moment in ms needs more digits than a float32 has."""
    kind = pa.float32() if pa.types.is_float32(column.type) else pa.float64()
    return pc.fill_null(column.cast(kind, safe=False), np.nan).to_numpy()


def _rows(column: pa.ChunkedArray) -> dict[str, NDArray[np.int32]]:
    """Each value with its rows."""
    array = column.combine_chunks()
    rows = np.arange(len(array), dtype=np.int32)
    if pa.types.is_list(array.type):
        rows, array = pc.list_parent_indices(array).to_numpy().astype(np.int32), pc.list_flatten(array)
    known = array.is_valid()
    encoded = array.filter(known).dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.min_scalar_type(len(encoded.dictionary)))  # short ones are sorted by radix
    order = np.argsort(codes, kind="stable")
    held = rows[known.to_numpy(zero_copy_only=False)][order]
    ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    return dict(zip(encoded.dictionary.to_pylist(), np.split(held, ends[:-1]), strict=True)) if len(codes) else {}
