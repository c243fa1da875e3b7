"""Names groups of queries, so that a good mean cannot hide that some of them are served badly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MISSING = "missing"
ITEM_INTERACTIONS = "item_interactions"  # the column of the wanted item's positives in training: 0 of one that is new


@dataclass(frozen=True)
class Slices:
    """Which queries are in which slice.

    Attributes:
      masks: of each slice, bool [num_queries]; named ``column=value`` or ``column=from-to``.
      dropped_counts: of each column, how many slices had too few queries to say anything.
    """

    masks: dict[str, NDArray[np.bool_]]
    dropped_counts: dict[str, int]


def of_item_interactions(label: str) -> bool:
    """Whether a slice's label says how often the wanted item was had."""
    return label.partition("=")[0] == ITEM_INTERACTIONS


def slice_queries(columns: Mapping[str, NDArray], edges: Mapping[str, Sequence[float]], min_queries: int = 1) -> Slices:
    """One slice for each value of a column, or for each range where the column has edges.

    Args:
      columns: of each name, str, bool or number [num_queries]. None and NaN make a slice of their own, ``missing``.
      edges: of a column of numbers, where each range begins, ascending: (0, 1, 6) gives ``history=0``,
        ``history=1-5``, ``history=6+``, and ``history<0`` if there are any. A column of fractions needs edges, and its
        ranges are named as intervals: ``price=[0,10)``, ``price>=10``.
      min_queries: smaller slices are dropped and counted.
    """
    unknown = sorted(edges.keys() - columns.keys())
    if unknown:
        raise ValueError(f"got edges for {unknown}; wanted only columns that there are: {sorted(columns)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"got columns of different lengths, {lengths}; wanted one value for each query in all")
    masks: dict[str, NDArray[np.bool_]] = {}
    dropped_counts = {}
    for name, values in columns.items():
        names, codes = _ranges(name, values, edges[name]) if name in edges else _values(name, values)
        counts = np.bincount(codes, minlength=len(names))
        kept = np.flatnonzero(counts >= max(1, min_queries))
        masks.update({names[code]: codes == code for code in kept})
        dropped_counts[name] = int((counts > 0).sum()) - len(kept)
    return Slices(masks, dropped_counts)


def _values(name: str, values: NDArray) -> tuple[list[str], NDArray[np.int64]]:
    if values.dtype.kind == "f":
        raise ValueError(f"got fractions in column {name!r} and no edges for it; wanted edges to make ranges from")
    if values.dtype.kind == "O":
        values = np.array([MISSING if value is None else str(value) for value in values], str)
    distinct, codes = np.unique(values, return_inverse=True)
    return [f"{name}={value}" for value in distinct], codes


def _ranges(name: str, values: NDArray, edges: Sequence[float]) -> tuple[list[str], NDArray[np.int64]]:
    """Codes: 0 below the first edge, i in the range that edge i - 1 begins, the last missing."""
    if values.dtype.kind not in "iuf":
        raise ValueError(f"got edges for column {name!r}, which holds {values.dtype}; wanted numbers")
    if not edges or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"got edges {tuple(edges)} for column {name!r}; wanted one or more, ascending")
    whole = values.dtype.kind in "iu" and all(float(edge).is_integer() for edge in edges)
    names = [f"{name}<{edges[0]:g}"]
    for low, high in pairwise(edges):
        if not whole:
            names.append(f"{name}=[{low:g},{high:g})")
        else:
            names.append(f"{name}={int(low)}" if high == low + 1 else f"{name}={int(low)}-{int(high) - 1}")
    names.append(f"{name}={int(edges[-1])}+" if whole else f"{name}>={edges[-1]:g}")
    names.append(f"{name}={MISSING}")
    codes = np.searchsorted(np.asarray(edges, np.float64), values, side="right")
    return names, np.where(np.isnan(values), len(names) - 1, codes)
