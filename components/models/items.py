"""The catalogue inside a model: from item ids to rows, and from rows to features.

A request names items by id; their features live here, so that it stays small, and so that training and serving look
them up in the same way. Row ``n`` of a catalogue of ``n`` items stands for every item that it does not know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.features.item import RECENT_DAYS, ItemDays
from components.models.features import Features, Slot
from components.schema.events import MS_PER_DAY

PAD = -1  # the row of a list's unused places
ROWS_AT_ONCE = 8_192


@dataclass(frozen=True)
class ItemFacts:
    """What a model is told of the catalogue.

    Attributes:
      ids: n item ids, in the order of the catalogue.
      slots: the transformed features.
      values: each slot's values, [n + 1, …], the last row for unknown items.
      trained: bool [n]; items with a training event. The others share one id embedding, learnt by hiding ids.
    """

    ids: Sequence[str]
    slots: tuple[Slot, ...]
    values: dict[str, NDArray]
    trained: NDArray[np.bool_]


class ItemRows(tf.Module):
    """The lookup from item ids to rows."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(name="item_rows")
        self.count = len(ids)
        pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), tf.range(self.count, dtype=tf.int32))
        self._table = tf.lookup.StaticHashTable(pairs, default_value=self.count)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """int32, the shape of ``ids``: the row of each, ``PAD`` for the empty string."""
        return tf.where(ids == "", PAD, self._table.lookup(ids))


class ItemTable(tf.Module):
    """The features of each row, as constants of the graph."""

    def __init__(self, facts: ItemFacts) -> None:
        super().__init__(name="item_table")
        self.slots = facts.slots
        self.count = len(facts.ids)
        self.trained = facts.trained
        # Embedding rows: 0 for items never trained and for hidden ids, 1 + row for the others.
        self._id_rows = tf.constant(np.append(np.where(facts.trained, np.arange(self.count) + 1, 0), 0), tf.int32)
        self._values = {slot.name: tf.constant(facts.values[slot.name]) for slot in facts.slots}

    def features(self, rows: tf.Tensor) -> Features:
        """Each slot's values at ``rows`` (int32, any shape; ``PAD`` reads as unknown)."""
        return {name: self.at(rows, value) for name, value in self._values.items()}

    def id_rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Rows of an id embedding table of ``count + 1`` rows."""
        return self.at(rows, self._id_rows)

    def at(self, rows: tf.Tensor, of_row: tf.Tensor) -> tf.Tensor:
        """``of_row`` [n + 1, …], its last row for unknown items, at ``rows`` (int32, any shape; ``PAD`` reads as unknown)."""
        return tf.gather(of_row, tf.where(rows < 0, self.count, rows))


def of_rows(count: int, vectors_of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """[count, width]: ``vectors_of`` int32 [m] → [m, width], asked for the rows from 0 on, some thousands at a time."""
    rows = tf.range(count)
    return tf.concat([vectors_of(rows[start : start + ROWS_AT_ONCE]) for start in range(0, count, ROWS_AT_ONCE)], axis=0)


class ItemCounters(tf.Module):
    """How often and how lately an item was met, and how old it is, as of the day of a request."""

    WIDTH = 3

    def __init__(self, days: ItemDays) -> None:
        super().__init__(name="item_counters")
        unknown = np.zeros((len(days.total), 1), np.float32)
        self._total = tf.constant(np.concatenate([days.total, unknown], axis=1))
        self._created = tf.constant(np.append(days.created_day, days.first_day + len(days.total)).astype(np.float32))
        self._first_day = days.first_day
        self._last = len(days.total) - 1
        self._scale = float(1 / np.log1p(max(1.0, days.total[-1].max())))

    def since(self, days: ItemDays, timestamp_ms: int) -> "ItemCounters":
        """The counters for requests from ``timestamp_ms`` on: what a saved model carries, without the days before."""
        start = max(0, int(days.row(np.array([timestamp_ms]))[0]) - RECENT_DAYS)
        kept = ItemCounters(ItemDays(days.first_day + start, days.total[start:], days.created_day))
        kept._scale = self._scale
        return kept

    def __call__(self, rows: tf.Tensor, timestamp_ms: tf.Tensor) -> tf.Tensor:
        """float32 [batch, n, 3]: logarithms of counts in all and of the last week, and of age in days; about 0 to 1.

        Args:
          rows: int32 [batch, n].
          timestamp_ms: int64 [batch]; of the request. Counts are those known at its day's first moment.
        """
        known = tf.where(rows < 0, tf.shape(self._created)[0] - 1, rows)
        day = tf.cast(timestamp_ms // MS_PER_DAY, tf.int32) - self._first_day
        row = tf.broadcast_to(tf.clip_by_value(day, 0, self._last)[:, tf.newaxis], tf.shape(known))
        total = tf.gather_nd(self._total, tf.stack([row, known], axis=-1))
        before = tf.gather_nd(self._total, tf.stack([tf.maximum(row - RECENT_DAYS, 0), known], axis=-1))
        age = tf.cast(day[:, tf.newaxis] + self._first_day, tf.float32) - tf.gather(self._created, known)
        logs = tf.math.log1p(tf.stack([total, total - before], axis=-1)) * self._scale
        return tf.concat([logs, tf.math.log1p(tf.maximum(age, 0.0))[..., tf.newaxis] / 8.0], axis=-1)
