import math

import numpy as np
import pytest
import tensorflow as tf

from components.features.item import ItemDays
from components.models.items import PAD, ItemCounters, ItemFacts, ItemRows, ItemTable
from components.schema.events import MS_PER_DAY

FIRST_DAY = 20_000
SHOWN_AT_NOON = MS_PER_DAY // 2


def test_rows_of_ids(facts: ItemFacts) -> None:
    rows = ItemRows(facts.ids)(tf.constant([["bee", "ant"], ["dog", ""]]))
    assert rows.dtype == tf.int32
    np.testing.assert_array_equal(rows, [[1, 0], [3, PAD]])  # 3 items: row 3 stands for the unknown ones


def test_untrained_unknown_and_pad_share_the_id_row_zero(table: ItemTable) -> None:
    np.testing.assert_array_equal(table.id_rows(tf.constant([0, 1, 2, 3, PAD])), [1, 2, 0, 0, 0])


def test_features_of_rows(table: ItemTable) -> None:
    colours = table.features(tf.constant([[2, 0], [3, PAD]]))["colour"]
    np.testing.assert_array_equal(colours, [[3, 1], [0, 0]])


@pytest.fixture
def days() -> ItemDays:
    """Ten days and two items. The first has an event a day, the second has 5 on the third day, on which it began to be."""
    daily = np.zeros((11, 2), np.float32)
    daily[1:, 0] = 1
    daily[3, 1] = 5
    return ItemDays(FIRST_DAY, np.cumsum(daily, axis=0, dtype=np.float32), np.array([FIRST_DAY, FIRST_DAY + 2], np.float32))


def at_noon(day: int) -> tf.Tensor:
    return tf.constant([(FIRST_DAY + day) * MS_PER_DAY + SHOWN_AT_NOON], tf.int64)


def expected(total: float, recent: float, age: float) -> list[float]:
    """Counts as logarithms over that of the greatest count, 10; ages over 8."""
    return [math.log1p(total) / math.log1p(10), math.log1p(recent) / math.log1p(10), math.log1p(age) / 8]


def test_counters_know_what_was_before_the_day(days: ItemDays) -> None:
    # On the day of place 9, row 9 of the totals: 9 and 5 events. A week before is row 2: 2 events and none.
    # Ages are counted to the day's first moment: 9 days and 9 - 2 = 7 days.
    counters = ItemCounters(days)(tf.constant([[0, 1]]), at_noon(9))
    np.testing.assert_allclose(counters, [[expected(9, 7, 9), expected(5, 5, 7)]], rtol=1e-5)


def test_counters_at_the_ends_of_the_log(days: ItemDays) -> None:
    counters = ItemCounters(days)
    # Nothing is known before the first day, and the second item is not there yet: its age is no less than 0.
    np.testing.assert_allclose(counters(tf.constant([[0, 1]]), at_noon(0)), [[expected(0, 0, 0)] * 2], atol=1e-6)
    # Long after the end the last row goes on to count, whose week before is row 3; only ages grow.
    after = counters(tf.constant([[0, 1]]), at_noon(30))
    np.testing.assert_allclose(after, [[expected(10, 7, 30), expected(5, 0, 28)]], rtol=1e-5)


@pytest.mark.parametrize("day", [0, 5, 9])
def test_unknown_items_have_no_counts_and_no_age(days: ItemDays, day: int) -> None:
    np.testing.assert_array_equal(ItemCounters(days)(tf.constant([[2, PAD]]), at_noon(day)), np.zeros((1, 2, 3)))


def test_counters_take_each_request_at_its_own_day(days: ItemDays) -> None:
    counters = ItemCounters(days)
    both = counters(tf.constant([[0, 1], [1, 0]]), tf.concat([at_noon(4), at_noon(9)], axis=0))
    np.testing.assert_array_equal(both[0], counters(tf.constant([[0, 1]]), at_noon(4))[0])
    np.testing.assert_array_equal(both[1], counters(tf.constant([[1, 0]]), at_noon(9))[0])


@pytest.mark.parametrize("day", [9, 10, 40])
def test_the_last_days_alone_serve_requests_from_then_on_alike(days: ItemDays, day: int) -> None:
    whole = ItemCounters(days)
    rows = tf.constant([[0, 1, 2, PAD]])
    np.testing.assert_array_equal(
        whole.since(days, int(at_noon(19)[0]))(rows, at_noon(10 + day)), whole(rows, at_noon(10 + day))
    )
