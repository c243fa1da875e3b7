"""Hard rules: which items may be shown at all."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.gateway.rerank.settings import Rule

Mask = NDArray[np.bool_]


def allowed(items: pa.Table, banned: Collection[str], rules: Sequence[Rule]) -> Mask:
    """bool [n]: the items of a catalogue that are not banned and fulfil every rule."""
    mask = ~_has(items.column("item_id"), banned)
    for rule in rules:
        mask &= fulfilled(items.column(rule.feature), rule)
    return mask


def fulfilled(column: pa.ChunkedArray, rule: Rule) -> Mask:
    """bool [n]: the items whose value of the rule's feature is as it must be."""
    if rule.bounds:
        value = column.cast(pa.float64()).to_numpy()  # an unknown one is NaN, and within no bounds
        low = -np.inf if rule.at_least is None else rule.at_least
        high = np.inf if rule.at_most is None else rule.at_most
        return (value >= low) & (value <= high)
    mask = np.ones(len(column), bool)
    if rule.allow is not None:
        mask &= _has(column, rule.allow)
    if rule.deny is not None:
        mask &= ~_has(column, rule.deny)
    return mask


def _has(column: pa.ChunkedArray, values: Collection[str]) -> Mask:
    """bool [n]: the items that have one of the values, or that are one of them."""
    wanted = pa.array(sorted(values), pa.string())
    if not pa.types.is_list(column.type):
        return pc.is_in(column, wanted).to_numpy()
    lists = column.combine_chunks()
    mask = np.zeros(len(column), bool)
    found = pc.is_in(pc.list_flatten(lists), wanted).to_numpy(zero_copy_only=False)
    mask[pc.list_parent_indices(lists).to_numpy()[found]] = True
    return mask
