from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.schema import samples as names
from components.transform.preprocessing import AGE_BUCKETS, MAX_VALUES, STANDARD_BOUND, age_bucket


@pytest.mark.parametrize(
    ("age_s", "bucket"),
    [
        (-1, 0),  # no age
        (0, 1),  # 1 + floor(log2(1))
        (0.5, 1),
        (1.5, 2),
        (2.5, 2),
        (3.5, 3),  # from 3 on: log2(4) = 2
        (62, 6),
        (64, 7),
        (86_400, 17),  # a day: log2(86,401) = 16.4
        (31_536_000, 25),  # a year: log2 = 24.9
        (1e12, AGE_BUCKETS - 1),  # longer than there are buckets
    ],
)
def test_age_buckets(age_s: float, bucket: int) -> None:
    made = age_bucket(tf.constant([age_s], tf.float32))
    assert made.dtype == tf.int64
    assert made.numpy().tolist() == [bucket]


@pytest.fixture(scope="module")
def shop(small_shop: Any) -> Any:
    return small_shop


def one(shop: Any, **values: Any) -> dict[str, np.ndarray]:
    """The transformed features of one sample."""
    return {name: value[0] for name, value in shop.transformed([values]).items()}


def test_categories_are_places_from_one_and_zero_is_unseen(shop: Any) -> None:
    # In training: DE three times, FR twice, JP once. The vocabulary goes by frequency.
    assert [int(one(shop, country=country)["country"]) for country in ("DE", "FR", "JP")] == [1, 2, 3]
    assert int(one(shop, country="BR")["country"]) == 0
    assert int(one(shop, country="")["country"]) == 0


def test_context_is_categories_and_the_calendar_passes_through(shop: Any) -> None:
    made = one(shop, context_device="phone", context_hour=23, context_weekday=6)
    assert (int(made["context_device"]), int(made["context_hour"]), int(made["context_weekday"])) == (1, 23, 6)
    assert int(one(shop, context_device="fridge")["context_device"]) == 0


def test_several_values_are_padded_and_cut(shop: Any) -> None:
    # In training: red four times, big twice.
    made = one(shop, tags=["big", "unheard", "red"])["tags"]
    assert made.tolist() == [2, 0, 1] + [-1] * (MAX_VALUES - 3)
    assert one(shop, tags=[])["tags"].tolist() == [-1] * MAX_VALUES
    assert one(shop, tags=["red"] * (MAX_VALUES + 4))["tags"].tolist() == [1] * MAX_VALUES


def test_numbers_are_standardised_and_zero_where_missing(shop: Any) -> None:
    # In training 20, 30 and 40, and three times missing: mean 30, standard deviation √(200/3).
    deviation = (200 / 3) ** 0.5
    for age, expected in (([30.0], 0), ([40.0], 10 / deviation), ([], 0), ([1e9], STANDARD_BOUND), ([-1e9], -STANDARD_BOUND)):
        np.testing.assert_allclose(one(shop, age=age)["age"], [expected], atol=1e-5)


def test_counts_are_standardised_logarithms(shop: Any) -> None:
    # In training 0 and 2 views, three times each: log 1 = 0 and log 3, whose mean and deviation are (log 3) / 2.
    for count, expected in ((0.0, -1), (2.0, 1), (3**0.5 - 1, 0)):
        np.testing.assert_allclose(one(shop, user_count_view=count)["user_count_view"], [expected], atol=1e-5)


def test_the_history_is_padded_and_cut_at_its_length(shop: Any) -> None:
    short = one(shop, history_item_id=["x", "y"], history_age_s=[0.0, 7.0], history_value=[5.0, 4.0])
    assert short[names.HISTORY_ITEM].tolist() == [b"x", b"y", b""]
    assert short[names.HISTORY_AGE].tolist() == [1, 4, 0]  # 1 + log2(8) = 4
    assert short[names.HISTORY_VALUE].tolist() == [5, 4, 0]
    cut = one(shop, history_item_id=list("abcde"), history_age_s=[0.0] * 5, history_value=[1.0] * 5)
    assert cut[names.HISTORY_ITEM].tolist() == [b"a", b"b", b"c"]  # the most recent ones


def test_ids_and_times_are_left_alone(shop: Any) -> None:
    made = one(shop, user_id="ü1", item_id="i9", timestamp_ms=1_700_000_000_123, window=[1, 0, 1])
    assert (made[names.USER_ID].decode(), made[names.ITEM_ID]) == ("ü1", b"i9")
    assert int(made[names.TIMESTAMP]) == 1_700_000_000_123
    assert made[names.WINDOW].tolist() == [1, 0, 1, 0]


def test_labels_are_lists_where_negatives_are_drawn(shop: Any) -> None:
    # `buy` asks for the event, which a drawn item did not have; `like` is a threshold on the item's own event.
    made = one(shop, label_buy=[1.0, 0.0, 0.0], weight_buy=1.0, label_like=1.0, weight_like=0.0)
    assert made["label_buy"].tolist() == [1, 0, 0]
    assert made["label_like"].tolist() == [1]
    assert (float(made["weight_buy"]), float(made["weight_like"])) == (1, 0)


def test_drawn_negatives(shop: Any) -> None:
    made = one(shop, negative_item_id=["x", "y"], negative_prob=[0.25, 0.5])
    assert made[names.NEGATIVE_ITEM].tolist() == [b"x", b"y"]
    assert made[names.NEGATIVE_PROB].tolist() == [0.25, 0.5]


def test_what_a_batch_holds_does_not_matter(shop: Any) -> None:
    values = [{"country": "FR", "tags": ["red"]}, {"country": "DE", "age": [40.0]}, {}]
    together = shop.transformed(values)
    for place, each in enumerate(values):
        alone = shop.transformed([each])
        for name, value in together.items():
            np.testing.assert_array_equal(value[place], alone[name][0], err_msg=name)
