"""One consumer of the stream's group of writers: each entry goes to one of them, and stays theirs until it is acknowledged."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import redis

from components.errors import ServingError
from serving.event_stream import STREAM
from serving.log_writer.stream_id import parsed
from serving.store_client import STORE_ERRORS, store_client

GROUP = "log-writer"
NEW = ">"
T = TypeVar("T")


@dataclass(frozen=True)
class Delivered:
    """What one call has brought.

    Attributes:
      entries: stream id → record in JSON.
      trimmed: ids of entries that some consumer was given and that the stream has since dropped.
      missed_count: entries that the stream dropped before anyone was given them.
    """

    entries: dict[str, str]
    trimmed: tuple[str, ...] = ()
    missed_count: int = 0


class WriterGroup:
    """
    Args:
      url: see ``store_client``.
      consumer: who this writer is; after a restart under the same name it is first given what it had not acknowledged.
    """

    def __init__(self, url: str, consumer: str, timeout_s: float = 5.0) -> None:
        # What is no text is no record either, and must not stop those behind it.
        self._client = store_client(url, timeout_s, decode_responses=True, encoding_errors="backslashreplace")
        self._consumer = consumer
        self._after: str | None = "0"  # of this consumer's own unacknowledged entries; None: it has them all

    def read(self, count: int) -> Delivered:
        """Up to ``count`` entries: first those that this consumer was given before, then new ones. Does not wait for any.

        Raises:
          ServingError: the store does not answer.
        """
        return self._asked(lambda: self._read(count))

    def claim(self, count: int, idle_s: float) -> Delivered:
        """Take over entries that a consumer, maybe a dead one, has had for ``idle_s`` without acknowledging them.

        Raises:
          ServingError: the store does not answer.
        """

        def claim() -> Delivered:
            _, pairs, trimmed = self._client.xautoclaim(
                STREAM, GROUP, self._consumer, min_idle_time=int(idle_s * 1000), count=count
            )
            claimed = _delivered(pairs)
            return Delivered(claimed.entries, (*claimed.trimmed, *trimmed))

        return self._asked(claim)

    def acknowledge(self, ids: Sequence[str]) -> None:
        """
        Raises:
          ServingError: the store does not answer.
        """
        if ids:
            self._asked(lambda: self._client.xack(STREAM, GROUP, *ids))

    def trim(self) -> None:
        """Drop from the stream what is before the oldest entry that any group of it needs still.

        A group needs what its consumers have not acknowledged, and what comes after the last entry that it was given. Groups
        only go forward, so that one that does so meanwhile needs no more than was found.

        Raises:
          ServingError: the store does not answer.
        """

        def trim() -> None:
            needed = min((self._needed(group) for group in map(_mapping, self._client.xinfo_groups(STREAM))), key=parsed)
            self._client.xtrim(STREAM, minid=needed, approximate=False)

        self._asked(trim)

    def close(self) -> None:
        self._client.close()

    def _needed(self, group: Mapping[str, Any]) -> str:
        """Where what the group needs begins; the last entry that it was given stays with it."""
        oldest = self._client.xpending(STREAM, group["name"])["min"]
        return str(oldest or group["last-delivered-id"])

    def _read(self, count: int) -> Delivered:
        if self._after is not None:
            pairs = _pairs(self._client.xreadgroup(GROUP, self._consumer, {STREAM: self._after}, count=count))
            self._after = pairs[-1][0] if pairs else None
            if pairs:
                return _delivered(pairs)
        with self._client.pipeline(transaction=True) as pipeline:  # nothing is trimmed between the three
            pipeline.xinfo_stream(STREAM)
            pipeline.xinfo_groups(STREAM)
            pipeline.xreadgroup(GROUP, self._consumer, {STREAM: NEW}, count=count)
            stream, groups, new = pipeline.execute()
        return _delivered(_pairs(new), _missed_count(stream, groups))

    def _asked(self, ask: Callable[[], T]) -> T:
        """The store's answer; one that knows no group, being new or having lost its data, is given one first."""
        try:
            try:
                return ask()
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error) and "no such key" not in str(error):
                    raise
            self._make_group()
            return ask()
        except STORE_ERRORS as error:
            raise ServingError(f"the event stream does not answer: {error}") from error

    def _make_group(self) -> None:
        try:  # from the stream's beginning: records may have come before the first writer
            self._client.xgroup_create(STREAM, GROUP, id="0", mkstream=True, entries_read=0)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another writer was faster
                raise
        self._after = "0"


def _pairs(answer: Any) -> list[tuple[str, dict[str, str] | None]]:
    return [(entry, fields and _mapping(fields)) for _, pairs in answer or () for entry, fields in pairs]


def _delivered(pairs: Sequence[tuple[str, dict[str, str] | None]], missed_count: int = 0) -> Delivered:
    entries = {entry: fields.get("record", json.dumps(fields)) for entry, fields in pairs if fields}
    return Delivered(entries, tuple(entry for entry, fields in pairs if not fields), missed_count)


def _missed_count(stream: Any, groups: Sequence[Any]) -> int:
    """Entries trimmed in all, less those that the group has been given: the stream drops none before an older one.

    Where somebody has deleted an entry by hand, the store does not know for a while how many the group has been given, and
    nothing can be said.
    """
    facts = _mapping(stream)
    read = next(group["entries-read"] for group in map(_mapping, groups) if group["name"] == GROUP)
    return 0 if read is None else max(0, facts["entries-added"] - facts["length"] - read)


def _mapping(reply: Any) -> dict[str, Any]:
    """A reply of names and values; a cluster's client leaves those of a transaction as flat lists."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
