"""Dealing each user's events to the splits at random, the same in every process.

It takes the order of time away on purpose: what is tested may lie before what is learnt, as in the protocol that RecBole's
tables have (each user's events 80/10/10). Figures of it stand beside such tables and say nothing of how good a release will be.
"""

import zlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.config import SplitConfig

TRAIN, EVAL, TEST = range(3)
Hashes = NDArray[np.uint64]


def user_keys(user_ids: pa.Array) -> NDArray[np.int64]:
    """A number for each user id, the same in every process."""
    return np.array([zlib.crc32(user.encode()) for user in user_ids.to_pylist()], np.int64)


def dealt(
    user_key: NDArray[np.int64], item: NDArray[np.integer], moment: NDArray[np.int64], split: SplitConfig, seed: int
) -> NDArray[np.int8]:
    """int8 [n]; the split of each of some users' events, all of which must be there, in any order.

    Of a user's n events the whole part of n × ``test`` is tested, the whole part of n × ``eval`` validated.

    Args:
      user_key: from ``user_keys``; item: rows of the catalogue; moment: ms. Each [n].
    """
    mixed = np.full(len(item), seed, np.uint64)
    for part in (user_key, item, moment):
        mixed = _mixed(mixed ^ part.astype(np.uint64))
    order = np.lexsort((moment, item, mixed, user_key))
    ordered = user_key[order]
    start, end = np.searchsorted(ordered, ordered), np.searchsorted(ordered, ordered, side="right")
    count, place = end - start, np.arange(len(order)) - start
    test, eval_ = (np.floor(count * share + 1e-9) for share in (split.test, split.eval))  # 0.1 × 30 is not quite 3
    code = np.empty(len(order), np.int8)
    code[order] = np.where(place < test, TEST, np.where(place < test + eval_, EVAL, TRAIN))
    return code


def _mixed(values: Hashes) -> Hashes:
    """Each bit of the result depends on each bit of the value (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed
