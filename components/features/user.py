"""Features of a user's past, as of a moment.

Offline, the state is every user's whole past at once; online, it is one user's bounded recent past. Both are
``UserPast``, and ``as_of`` computes the values from either, so that training and serving cannot disagree. The two
halves of the definition: ``UserState.fold`` is how events change what is kept, ``UserPast.as_of`` how it becomes values.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

MOMENT_BITS = 42  # ms since 1970 fit till the year 2109, which leaves 21 bits for the users of one batch


@dataclass(frozen=True)
class UserValues:
    """The values of every feature, for ``n`` moments.

    Attributes:
      history_start, history_end: int64 [n]; the rows of the past that make the history, most recent last.
      event_counts: float32 [n, num_types]; events of each type before the moment.
      idle_s: float32 [n]; seconds since the last event, -1 where there is none.
    """

    history_start: NDArray[np.int64]
    history_end: NDArray[np.int64]
    event_counts: NDArray[np.float32]
    idle_s: NDArray[np.float32]


@dataclass(frozen=True)
class UserPast:
    """Events that enter the history, sorted by user and then by time.

    Attributes:
      user: int64 [m]; user codes, ascending.
      timestamp_ms: int64 [m]; ascending within a user.
      type: int16 [m]; codes in [0, num_types).
      forgotten_counts: int64 [num_users, num_types]; events of each user that a bounded state no longer holds.
    """

    user: NDArray[np.int64]
    timestamp_ms: NDArray[np.int64]
    type: NDArray[np.int16]
    forgotten_counts: NDArray[np.int64]

    def as_of(self, user: NDArray[np.int64], timestamp_ms: NDArray[np.int64], history_length: int) -> UserValues:
        """The features of ``user[i]`` from events strictly before ``timestamp_ms[i]``.

        Args:
          user: int64 [n]; user codes.
          timestamp_ms: int64 [n].
        """
        keys = (self.user << MOMENT_BITS) | self.timestamp_ms
        moments = (user << MOMENT_BITS) | timestamp_ms
        begin = np.searchsorted(keys, user << MOMENT_BITS)
        end = np.searchsorted(keys, moments, side="left")
        counts = self.forgotten_counts[user].astype(np.float32)
        for code in range(counts.shape[1]):
            of_type = keys[self.type == code]
            counts[:, code] += np.searchsorted(of_type, moments) - np.searchsorted(of_type, user << MOMENT_BITS)
        last = self.timestamp_ms[np.maximum(end - 1, 0)] if len(keys) else np.zeros_like(timestamp_ms)
        idle = np.where(end > begin, (timestamp_ms - last) / 1000, -1).astype(np.float32)
        return UserValues(np.maximum(begin, end - history_length), end, counts, idle)


@dataclass(frozen=True)
class UserState:
    """What is kept of one user: the most recent events, and counts of those forgotten.

    Attributes:
      item_id: object [h] of str; oldest first.
      timestamp_ms: int64 [h].
      value: float32 [h].
      type: int16 [h].
      forgotten_counts: int64 [num_types].
    """

    item_id: NDArray[np.object_]
    timestamp_ms: NDArray[np.int64]
    value: NDArray[np.float32]
    type: NDArray[np.int16]
    forgotten_counts: NDArray[np.int64]

    @classmethod
    def empty(cls, type_count: int) -> Self:
        return cls(
            np.zeros(0, object),
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            np.zeros(0, np.int16),
            np.zeros(type_count, np.int64),
        )

    def fold(
        self,
        item_id: NDArray[np.object_],
        timestamp_ms: NDArray[np.int64],
        value: NDArray[np.float32],
        type: NDArray[np.int16],
        keep: int,
    ) -> Self:
        """The state after some more events, of which the ``keep`` most recent in all are held.

        Events may come late: the state is ordered by their own time, not by their arrival.
        """
        items = np.concatenate([self.item_id, item_id])
        moments = np.concatenate([self.timestamp_ms, timestamp_ms])
        values = np.concatenate([self.value, value])
        types = np.concatenate([self.type, type])
        order = np.argsort(moments, kind="stable")
        held, dropped = order[-keep:], order[:-keep]
        forgotten = self.forgotten_counts + np.bincount(types[dropped], minlength=len(self.forgotten_counts))
        return self.__class__(items[held], moments[held], values[held], types[held], forgotten)

    def merged(self, snapshot: "UserState", keep: int) -> "UserState":
        """This state, kept while events came, with what only a snapshot of the log knows: the ``keep`` most recent of both.

        An event is known by its item, moment and type, as a snapshot has no ids. Of each type the larger of the two counts
        holds, or that of the events held where it is larger still. Either may have counted what the other never heard of,
        and yet their sum would count most events twice: this state began with an earlier snapshot, and what came since is in
        the log that later ones are made of.
        """
        type_count = len(self.forgotten_counts)
        total = self.forgotten_counts + np.bincount(self.type, minlength=type_count)
        total_in_snapshot = snapshot.forgotten_counts + np.bincount(snapshot.type, minlength=type_count)
        known = set(zip(self.item_id.tolist(), self.timestamp_ms.tolist(), self.type.tolist(), strict=True))
        events = zip(snapshot.item_id.tolist(), snapshot.timestamp_ms.tolist(), snapshot.type.tolist(), strict=True)
        missing = [place for place, event in enumerate(events) if event not in known]
        if not missing and (total_in_snapshot <= total).all():
            return self
        types = np.concatenate([snapshot.type[missing], self.type])
        total = np.maximum(np.maximum(total, total_in_snapshot), np.bincount(types, minlength=type_count))
        moments = np.concatenate([snapshot.timestamp_ms[missing], self.timestamp_ms])
        held = np.argsort(moments, kind="stable")[-keep:]
        return UserState(
            np.concatenate([snapshot.item_id[missing], self.item_id])[held],
            moments[held],
            np.concatenate([snapshot.value[missing], self.value])[held],
            types[held],
            total - np.bincount(types[held], minlength=type_count),
        )

    def past(self) -> UserPast:
        """The state as a past of the one user with code 0."""
        return UserPast(
            np.zeros(len(self.timestamp_ms), np.int64), self.timestamp_ms, self.type, self.forgotten_counts[None, :]
        )
