"""The items put in and withdrawn since the releases were made, in Valkey or Redis, for every gateway to follow.

    winnow:items:{live}         hash, item → its last change, in JSON
    winnow:items:{live}:order   sorted set, item → the number of that change; numbers only grow

A follower remembers the last number that it has seen and asks for what came after it. Both keys share a hash tag, so
that a cluster keeps them in one slot. They do not expire: a withdrawn item stays withdrawn.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from components.errors import ServingError
from serving.store_client import STORE_ERRORS, store_client

CHANGES, ORDER = "winnow:items:{live}", "winnow:items:{live}:order"
MAX_CHANGED_ITEMS = 10_000  # each search scores all of them, which takes about as long as a search of ScaNN

# KEYS: changes, order. ARGV: item, change without its number, most items.
_PUT = """
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 0 end
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
local number = (tonumber(last[2]) or 0) + 1
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], number, ARGV[1])
return number
"""

# KEYS: changes, order. ARGV: the last number seen.
_SINCE = """
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES')
local reply = {last[2] or '0'}
for at = 1, #found, 2 do
  reply[#reply + 1] = found[at]
  reply[#reply + 1] = found[at + 1]
  reply[#reply + 1] = redis.call('HGET', KEYS[1], found[at])
end
return reply
"""


@dataclass(frozen=True)
class LiveItem:
    """An item as it was put in. Attributes: features: in the form of the catalogue; those that are missing are unknown."""

    title: str
    created_ms: int
    features: dict[str, Any]


@dataclass(frozen=True)
class ItemChange:
    """Attributes: number: later changes have higher ones; item: None where it was withdrawn."""

    item_id: str
    number: int
    item: LiveItem | None


class ItemStore:
    """The changes. Threads may share one.

    Args:
      url: see ``store_client``.
      timeout_s: of one call.
      most: items that can be changed in all.
    """

    def __init__(self, url: str, timeout_s: float = 2.0, most: int = MAX_CHANGED_ITEMS) -> None:
        self._client = store_client(url, timeout_s, decode_responses=True)
        self._put, self._since = self._client.register_script(_PUT), self._client.register_script(_SINCE)
        self._most = most

    def put(self, item_id: str, item: LiveItem | None) -> int:
        """Keep an item's change, None for its withdrawal; its number.

        Raises:
          ServingError: the store does not answer, or holds as many items as it may.
        """
        kept = json.dumps(None if item is None else asdict(item))
        number = int(self._ask(self._put, item_id, kept, self._most))
        if not number:
            raise ServingError(
                f"{self._most} items are changed already, which is the most; delete {ORDER!r} and {CHANGES!r} from the "
                "store once a release holds them"
            )
        return number

    def since(self, number: int) -> tuple[int, list[ItemChange]]:
        """The highest number, and the changes after ``number`` in their order; of an item, the last one.

        Raises:
          ServingError: the store does not answer.
        """
        last, *found = self._ask(self._since, number)
        changes = [
            ItemChange(item_id, int(at), None if (kept := json.loads(text)) is None else LiveItem(**kept))
            for item_id, at, text in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]
        return int(last), changes

    def close(self) -> None:
        self._client.close()

    def _ask(self, script: Any, *arguments: Any) -> Any:
        try:
            return script(keys=[CHANGES, ORDER], args=list(arguments))
        except STORE_ERRORS as error:
            raise ServingError(f"the store of items does not answer: {error}") from error
