"""The two recommenders that a deep model has to beat to be worth its cost: popular items, and item-to-item.

Both are deterministic: of two items with the same score, the one with the lower index comes first. Both work through
queries in chunks, so that memory does not grow with their number. Items are catalogue indices, -1 pads.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Items = NDArray[np.int32]

_CHUNK_CELLS = 1 << 20  # scores held at once: 4 MiB as float32, which a processor's cache can hold
_LEAST_SCORE = np.finfo(np.float32).tiny  # what is not similar at all scores 0


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
        recommended[rows] = _first_allowed(np.broadcast_to(candidates, allowed.shape), allowed, k)
    return recommended


def item_similarity(
    users: NDArray, items: Items, num_items: int, shrinkage: float = 10.0, neighbour_count: int = 200
) -> sp.csr_matrix:
    """Shrunk cosine of co-occurrence, sparse float32 [num_items, num_items], without the diagonal.

    s_ij = n_ij / (sqrt(n_i n_j) + shrinkage), where n_i users had item i and n_ij had both: the cosine of Sarwar et al.
    2001, with the shrinkage of Ferrari Dacrema et al. 2019, which keeps a few chance meetings from looking like a bond.

    Args:
      users: int or str [num_positives].
      items: int32 [num_positives]; -1 is passed over. A pair counts once however often it occurs.
      neighbour_count: keep this many most similar items in each row.
    """
    if len(users) != len(items):
        raise ValueError(f"got {len(users)} users and {len(items)} items; wanted one of each for every pair")
    known = items >= 0
    user_codes = np.unique(users[known], return_inverse=True)[1]
    shape = (int(user_codes.max(initial=-1)) + 1, num_items)
    by_user = sp.csr_matrix((np.ones(len(user_codes), np.float32), (user_codes, items[known])), shape=shape)
    by_user.data[:] = 1  # the constructor summed repeated pairs
    by_item = by_user.T.tocsr()
    length = np.sqrt(np.diff(by_item.indptr))
    blocks = []
    for rows in _chunks(num_items, num_items):
        block = (by_item[rows] @ by_user).tocoo()
        item = block.row + rows.start
        cosine = block.data / (length[item] * length[block.col] + shrinkage)
        other = item != block.col
        block = sp.csr_matrix((cosine[other], (block.row[other], block.col[other])), shape=block.shape)
        blocks.append(_keep_best(block, neighbour_count))
    return sp.vstack(blocks, format="csr", dtype=np.float32)


def recommend_item_to_item(similarity: sp.csr_matrix, history: Items, seen: Items, counts: NDArray, k: int) -> Items:
    """The k unseen items most similar to a query's history, int32 [num_queries, k] (Deshpande and Karypis 2004).

    score(j) = sum over history items h of s_{h, j}. Only items with a positive score are
    taken; the places left over go to the popular items.

    Args:
      similarity: float32 [num_items, num_items]; from ``item_similarity``.
      history: int32 [num_queries, max_history]; padded with -1.
      seen: int32 [num_queries, max_seen]; padded with -1. The history is left out only where it is listed here too.
      counts: [num_items]; from ``popularity_counts``.
    """
    num_items = similarity.shape[0]
    if not len(history) == len(seen):
        raise ValueError(f"got {len(history)} histories and {len(seen)} rows of seen items; wanted as many")
    if len(counts) != num_items:
        raise ValueError(f"got counts of {len(counts)} items and similarities of {num_items}; wanted the same items")
    recommended = np.full((len(history), k), -1, np.int32)
    for rows in _chunks(len(history), num_items):
        query, place = np.nonzero(history[rows] >= 0)
        shape = (rows.stop - rows.start, num_items)
        profile = sp.csr_matrix((np.ones(len(query), np.float32), (query, history[rows][query, place])), shape=shape)
        scores = (profile @ similarity).toarray()
        query, place = np.nonzero(seen[rows] >= 0)
        scores[query, seen[rows][query, place]] = 0
        recommended[rows] = _best_columns(scores, k)
    short = np.flatnonzero((recommended < 0).any(axis=1))
    taken = recommended[short]
    popular = recommend_popular(counts, np.hstack([seen[short], taken]), k)
    filled = np.hstack([taken, popular])
    recommended[short] = _first_allowed(filled, filled >= 0, k)
    return recommended


def _chunks(row_count: int, row_cells: int) -> list[slice]:
    step = max(1, _CHUNK_CELLS // max(1, row_cells))
    return [slice(start, min(start + step, row_count)) for start in range(0, row_count, step)]


def _first_allowed(candidates: Items, allowed: NDArray[np.bool_], k: int) -> Items:
    """Of each row the first k candidates that are allowed, padded with -1; both [num_rows, num_candidates]."""
    place = np.cumsum(allowed, axis=1, dtype=np.int32) - 1
    row, column = np.nonzero(allowed & (place < k))
    first = np.full((len(candidates), k), -1, np.int32)
    first[row, place[row, column]] = candidates[row, column]
    return first


def _best_columns(scores: NDArray[np.float32], k: int) -> Items:
    """Of each row the k columns with the highest positive scores, int32 [num_rows, k]; scores: [num_rows, num_columns].

    A partition of a whole row is slow and picks among equal scores at will. Instead, columns are dealt into some 4 k
    groups: k groups have a score at or above the k-th best group maximum, so everything below that can be dropped.
    """
    num_rows, num_columns = scores.shape
    depth = max(1, num_columns // (4 * k))
    group_count = num_columns // depth
    maxima = scores[:, : depth * group_count].reshape(num_rows, depth, group_count).max(axis=1)
    kth = max(0, group_count - k)
    least = np.partition(maxima, kth, axis=1)[:, kth]
    row, column = np.nonzero(scores >= np.maximum(least, _LEAST_SCORE)[:, None])
    order = np.lexsort((column, -scores[row, column], row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    best = np.full((len(scores), k), -1, np.int32)
    within = place < k
    best[row[within], place[within]] = column[within]
    return best


def _keep_best(block: sp.csr_matrix, count: int) -> sp.csr_matrix:
    scores = block.toarray()
    best = _best_columns(scores, count)
    row, place = np.nonzero(best >= 0)
    column = best[row, place]
    return sp.csr_matrix((scores[row, column], (row, column)), shape=block.shape)
