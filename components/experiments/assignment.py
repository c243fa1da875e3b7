"""Which arm of an experiment a user is in."""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate


def assigned(experiment: str, user_id: str, shares: Mapping[str, float]) -> str:
    """The arm of a user: always the same one, in every process, and independent of those in other experiments.

    The user's place in [0, 1) is a hash of both names (Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments",
    2020, chapter 12), the arms lie there side by side in their order. If the last two arms change their shares, only users
    between these two change theirs.

    Args:
      shares: arm → its part of the users, relative to the others; at least one, each positive.
    """
    digest = hashlib.blake2b(f"{len(experiment)}:{experiment}{user_id}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64 * sum(shares.values())
    ends = list(accumulate(shares.values()))
    return list(shares)[min(bisect_right(ends, place), len(ends) - 1)]  # rounding may have left a rest behind the last end
