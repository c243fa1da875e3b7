"""The recommenders that a deep model has to beat to be worth its cost: popular items, item-to-item, and chance.

The first two are deterministic: of two items with the same score, the one with the lower index comes first. Items are
catalogue indices, -1 pads.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.item_to_item.neighbours import Neighbours

Items = NDArray[np.int32]

_CHUNK_CELLS = 1 << 20  # held at once: a processor's cache can hold so many


def popularity_counts(items: Items, num_items: int) -> NDArray[np.int64]:
    """Training positives of each item, int64 [num_items]; items: int32 [num_positives], -1 is passed over."""
    return np.bincount(items[items >= 0], minlength=num_items)


def recommend_popular(counts: NDArray, seen: Items, k: int) -> Items:
    """The k items with the highest counts that a query has not seen, int32 [num_queries, k].

    Args:
      counts: [num_items].
      seen: int32 [num_queries, max_seen]; padded with -1.
    """
    num_items = len(counts)
    by_count = np.argsort(-counts, kind="stable").astype(np.int32)
    place = np.empty(num_items, np.int32)
    place[by_count] = np.arange(num_items, dtype=np.int32)
    # A list reaches no deeper than k places past those that the longest row of seen items can take.
    candidates = by_count[: k + seen.shape[1]]
    recommended = np.full((len(seen), k), -1, np.int32)
    for rows in _chunks(len(seen), len(candidates)):
        query, column = np.nonzero(seen[rows] >= 0)
        seen_place = place[seen[rows][query, column]]
        reached = seen_place < len(candidates)
        allowed = np.ones((rows.stop - rows.start, len(candidates)), bool)
        allowed[query[reached], seen_place[reached]] = False
        recommended[rows] = first_allowed(np.broadcast_to(candidates, allowed.shape), allowed, k)
    return recommended


def recommend_random(num_items: int, seen: Items, k: int, seed: int) -> Items:
    """k items that a query has not seen, each such list as likely as any other, int32 [num_queries, k].

    Args:
      seen: int32 [num_queries, max_seen]; padded with -1.
    """
    rng = np.random.default_rng(seed)
    # Drawn again, what was seen or drawn before is passed over: in a large catalogue little is, and no row of it is sorted.
    drawn = rng.integers(0, num_items, (len(seen), 2 * k))
    query = np.arange(len(seen))[:, None] * num_items
    fresh = np.zeros(drawn.size, bool)
    fresh[np.unique(query + drawn, return_index=True)[1]] = True
    unseen = ~np.isin(query + drawn, (query + seen)[seen >= 0])
    recommended = first_allowed(drawn.astype(np.int32), fresh.reshape(drawn.shape) & unseen, k)
    short = np.flatnonzero((recommended < 0).any(axis=1))
    recommended[short] = best_unseen(
        lambda rows: rng.random((rows.stop - rows.start, num_items), np.float32), seen[short], num_items, k
    )
    return recommended


def recommend_item_to_item(neighbours: Neighbours, history: Items, seen: Items, counts: NDArray, k: int) -> Items:
    """The k unseen items most similar to a query's history, int32 [num_queries, k].

    The places left over go to the popular items.

    Args:
      history: int32 [num_queries, max_history]; padded with -1.
      seen: int32 [num_queries, max_seen]; padded with -1. The history is left out only where it is listed here too.
      counts: [num_items]; from ``popularity_counts``.
    """
    if not len(history) == len(seen):
        raise ValueError(f"got {len(history)} histories and {len(seen)} rows of seen items; wanted as many")
    if len(counts) != neighbours.item_count:
        raise ValueError(
            f"got counts of {len(counts)} items and neighbours of {neighbours.item_count}; wanted those of the same items"
        )
    recommended = np.full((len(history), k), -1, np.int32)
    had = np.zeros(neighbours.item_count, bool)
    for query, rows in enumerate(history):
        found = neighbours.similar(rows)
        own = seen[query][seen[query] >= 0]
        had[own] = True
        unseen = found[~had[found]][:k]
        had[own] = False
        recommended[query, : len(unseen)] = unseen
    short = np.flatnonzero((recommended < 0).any(axis=1))
    taken = recommended[short]
    popular = recommend_popular(counts, np.hstack([seen[short], taken]), k)
    filled = np.hstack([taken, popular])
    recommended[short] = first_allowed(filled, filled >= 0, k)
    return recommended


def best_unseen(scores: Callable[[slice], NDArray[np.float32]], seen: Items, num_items: int, k: int) -> Items:
    """The k unseen items with the highest scores, int32 [num_queries, k]; of two alike the lower index.

    Args:
      scores: of some of the queries, float32 [queries, num_items].
      seen: int32 [num_queries, max_seen]; padded with -1.
    """
    recommended = np.full((len(seen), k), -1, np.int32)
    for rows in _chunks(len(seen), num_items):
        of_items = scores(rows)
        query, place = np.nonzero(seen[rows] >= 0)
        allowed = np.ones(of_items.shape, bool)
        allowed[query, seen[rows][query, place]] = False
        order = np.argsort(-np.where(allowed, of_items, -np.inf), axis=1, kind="stable")[:, :k].astype(np.int32)
        found = np.where(np.take_along_axis(allowed, order, 1), order, -1)
        recommended[rows, : found.shape[1]] = found
    return recommended


def _chunks(row_count: int, row_cells: int) -> list[slice]:
    step = max(1, _CHUNK_CELLS // max(1, row_cells))
    return [slice(start, min(start + step, row_count)) for start in range(0, row_count, step)]


def first_allowed(candidates: Items, allowed: NDArray[np.bool_], k: int) -> Items:
    """Of each row the first k candidates that are allowed, padded with -1; both [num_rows, num_candidates]."""
    place = np.cumsum(allowed, axis=1, dtype=np.int32) - 1
    row, column = np.nonzero(allowed & (place < k))
    first = np.full((len(candidates), k), -1, np.int32)
    first[row, place[row, column]] = candidates[row, column]
    return first
