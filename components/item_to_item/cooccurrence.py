"""How many users had both of two items: the Gram matrix XᵀX of the users' binary items, summed over groups of users."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

PAIRS_AT_ONCE = 1 << 24


def user_items(interactions: pa.Table, item_count: int, max_user_items: int) -> sp.csr_matrix:
    """X, int32 [num_users, item_count] of 0 and 1: of each user the ``max_user_items`` items had last, each once.

    Args:
      interactions: user_id, item_index and timestamp_ms; whole users. Of items had at the same moment the lower index is
        the later one.
    """
    user = interactions.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    item = interactions.column("item_index").to_numpy()
    moment = interactions.column("timestamp_ms").to_numpy()
    latest_first = np.lexsort((item, -moment, user))
    user, item = user[latest_first], item[latest_first]
    _, once = np.unique(user * item_count + item, return_index=True)
    once.sort()
    user, item = user[once], item[once]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    user, item = user[place < max_user_items], item[place < max_user_items]
    shape = (int(user.max(initial=-1)) + 1, item_count)
    return sp.csr_matrix((np.ones(len(user), np.int32), (user, item)), shape=shape)


def gram_parts(users: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
    """Matrices int32 [num_items, num_items] whose sum is XᵀX, each of at most so many users as fit memory with their pairs."""
    pairs = np.cumsum(np.diff(users.indptr).astype(np.int64) ** 2)
    for number in np.unique(pairs // PAIRS_AT_ONCE):
        start, end = np.searchsorted(pairs, [number * PAIRS_AT_ONCE, (number + 1) * PAIRS_AT_ONCE])
        some = users[start:end]
        yield (some.T @ some).tocsr()


def item_counts(users: sp.csr_matrix) -> NDArray[np.int64]:
    """int64 [num_items]; users of each item: the diagonal of XᵀX."""
    return np.bincount(users.indices, minlength=users.shape[1]).astype(np.int64)
