"""What is known of each user right now, in Valkey or Redis: recent events, counts by type, items had.

Keys of one user share a hash tag, so that a cluster keeps them in one slot and one script can change them together:

    winnow:{<user>}:events    sorted set, scored by the event's time: the most recent events, each its number and JSON
    winnow:{<user>}:counts    hash, type → how many events in all, forgotten ones included
    winnow:{<user>}:seen      sorted set, item → time of the last event with it
    winnow:{<user>}:arrived   sorted set, event id → its number: what was folded last, so that nothing counts twice

All four are bounded and expire together. The script is atomic: an event is in all of them or in none.

An event's number is its place among all of the user's, in the order in which they arrived: one more than the counts say.
Events of the same time are held in this order, as ``UserState.fold`` holds them, since a sorted set orders members of
the same score by their text, and the number, at a fixed width, comes first there.

An event that is sent again is told by its id while it is among the last ``StoreLimits.ids`` that arrived, however old its
own time is, or while the history still holds it. Beyond that nothing is known of it any more: it counts as a new one.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.errors import ServingError
from components.features.user import UserState
from serving.store_client import STORE_ERRORS, store_client

DAY_S = 86_400
WRITE_TIMEOUT_S = 1.0  # no list waits for a write, and one that is given up has to be sent again

# KEYS: events, counts, seen, arrived. ARGV: keep, seen kept, ids kept, expiry in s, then id, time, JSON, type and item of each.
_FOLD = """
local ids_at = {}
local function held(id, time)
  if not ids_at[time] then
    ids_at[time] = {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], time, time)) do
      ids_at[time][cjson.decode(string.sub(member, (string.find(member, '[', 1, true))))[1]] = true
    end
  end
  return ids_at[time][id]
end
local number, folded = 0, 0
for _, count in ipairs(redis.call('HVALS', KEYS[2])) do number = number + tonumber(count) end
for at = 5, #ARGV, 5 do
  local id, time, text, type, item = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  if not redis.call('ZSCORE', KEYS[4], id) and not held(id, time) then
    number, folded = number + 1, folded + 1
    redis.call('ZADD', KEYS[4], string.format('%d', number), id)
    redis.call('ZADD', KEYS[1], time, string.format('%016d', number) .. text)
    redis.call('HINCRBY', KEYS[2], type, 1)
    redis.call('ZADD', KEYS[3], 'GT', time, item)
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[3])
for each = 1, 4 do redis.call('EXPIRE', KEYS[each], ARGV[4]) end
return folded
"""

# KEYS: events, counts, seen. ARGV: expiry in s, number of events, of counts, then time and JSON, type and count, items.
_SEED = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local at = 4
for number = 1, ARGV[2] do
  redis.call('ZADD', KEYS[1], ARGV[at], string.format('%016d', number) .. ARGV[at + 1])
  at = at + 2
end
for _ = 1, ARGV[3] do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) at = at + 2 end
for place = at, #ARGV do redis.call('ZADD', KEYS[3], place - at, ARGV[place]) end
for each = 1, 3 do redis.call('EXPIRE', KEYS[each], ARGV[1]) end
return 1
"""


@dataclass(frozen=True)
class StoredEvent:
    """An event that enters the history."""

    event_id: str
    item_id: str
    timestamp_ms: int
    value: float | None
    type: str


@dataclass(frozen=True)
class StoredUser:
    """A user as the store has them.

    Attributes:
      state: ``None`` where the store knows nothing of the user.
      seen: items had, most recent last.
    """

    state: UserState | None
    seen: tuple[str, ...]


@dataclass(frozen=True)
class StoreLimits:
    """How much is kept of one user.

    Attributes:
      events: recent events; seen: items had; ids: of the events that arrived last, by which repetitions are told.
      expiry_s: after the last event; a user who is forgotten begins again from the release's snapshot.
    """

    events: int = 200
    seen: int = 5_000
    ids: int = 1_000
    expiry_s: int = 90 * DAY_S


class StateStore:
    """The users' states. Threads may share one.

    Args:
      url: see ``store_client``.
      types: event types of the history; a type's place is its code.
      timeout_s: of one read; a store that takes longer counts as absent.
    """

    def __init__(self, url: str, types: Sequence[str], limits: StoreLimits, timeout_s: float) -> None:
        self._types, self._limits = tuple(types), limits
        self._reader, self._writer = (
            store_client(url, each_s, decode_responses=True) for each_s in (timeout_s, WRITE_TIMEOUT_S)
        )
        self._fold = self._writer.register_script(_FOLD)
        self._seed = self._writer.register_script(_SEED)

    def read(self, user_id: str) -> StoredUser:
        """All that is kept of a user, in one round trip.

        Raises:
          ServingError: the store does not answer in time.
        """
        events_key, counts_key, seen_key, _ = _keys(user_id)
        with _answering(), self._reader.pipeline(transaction=False) as pipeline:
            pipeline.zrange(events_key, 0, -1, withscores=True)
            pipeline.hgetall(counts_key)
            pipeline.zrange(seen_key, 0, -1)
            events, counts, seen = pipeline.execute()
        return StoredUser(self._state(events, counts) if counts else None, tuple(seen))

    def knows(self, user_id: str, patient: bool = True) -> bool:
        """Whether anything is kept of a user, asked before a write.

        Args:
          patient: for as long as a write; False only for as long as a read, so that a store that hangs is found out early.

        Raises:
          ServingError: the store does not answer in time.
        """
        client = self._writer if patient else self._reader
        with _answering():
            return bool(client.exists(_keys(user_id)[1]))

    def fold(self, user_id: str, events: Sequence[StoredEvent]) -> int:
        """Fold events into a user's state; those that are known to have been folded before change nothing.

        Returns:
          How many were new.

        Raises:
          ServingError: the store does not answer in time; the events may be sent again.
        """
        limits = self._limits
        arguments: list[Any] = [limits.events, limits.seen, limits.ids, limits.expiry_s]
        for event in events:
            text = json.dumps([event.event_id, event.item_id, event.value, event.type])
            arguments += [event.event_id, event.timestamp_ms, text, event.type, event.item_id]
        with _answering():
            return int(self._fold(keys=list(_keys(user_id)), args=arguments))

    def seed(self, user_id: str, state: UserState, seen: Sequence[str]) -> bool:
        """Begin a user's state, unless there is one already; whether it was begun.

        Raises:
          ServingError: the store does not answer in time.
        """
        counts = state.forgotten_counts + np.bincount(state.type, minlength=len(self._types))
        arguments: list[Any] = [self._limits.expiry_s, len(state.item_id), len(self._types)]
        for place, (item, moment, value, code) in enumerate(
            zip(state.item_id, state.timestamp_ms, state.value, state.type, strict=True)
        ):
            held = None if np.isnan(value) else float(value)
            arguments += [int(moment), json.dumps([f"snapshot-{place}", item, held, self._types[code]])]
        for name, count in zip(self._types, counts, strict=True):
            arguments += [name, int(count)]
        arguments += seen
        with _answering():
            return bool(self._seed(keys=list(_keys(user_id))[:3], args=arguments))

    def ping(self) -> bool:
        try:
            return bool(self._reader.ping())
        except STORE_ERRORS:
            return False

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _state(self, events: list[tuple[str, float]], counts: dict[str, str]) -> UserState:
        members = [json.loads(member[member.index("[") :]) for member, _ in events]  # the number stands before it
        code = {name: place for place, name in enumerate(self._types)}
        known = [place for place, member in enumerate(members) if member[3] in code]
        types = np.array([code[members[place][3]] for place in known], np.int16)
        total = np.array([int(counts.get(name, 0)) for name in self._types], np.int64)
        return UserState(
            item_id=np.array([members[place][1] for place in known], object),
            timestamp_ms=np.array([int(events[place][1]) for place in known], np.int64),
            value=np.array([np.nan if members[place][2] is None else members[place][2] for place in known], np.float32),
            type=types,
            forgotten_counts=total - np.bincount(types, minlength=len(self._types)),
        )


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except STORE_ERRORS as error:
        raise ServingError(f"the state store does not answer: {error}") from error


def _keys(user_id: str) -> tuple[str, str, str, str]:
    # A brace in an id would end the hash tag early.
    tag = user_id.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return tuple(f"winnow:{{{tag}}}:{part}" for part in ("events", "counts", "seen", "arrived"))  # type: ignore[return-value]
