import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.features.item import ItemDays
from components.models.features import Slot
from components.models.items import PAD, ItemCounters, ItemFacts, ItemTable
from components.models.rankers import RankerParts
from components.models.tasks import Task
from components.schema.events import MS_PER_DAY

FIRST_DAY, RECALL_DIM = 20_000, 3
TASKS = (Task("buy", "choice", 1.0, 1.0), Task("like", "binary", 0.5, 0.0))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(5)


@pytest.fixture(scope="module")
def parts() -> RankerParts:
    """Three items, of which the last has no training event, with a feature of each kind; two features of the request."""
    slots = (Slot("colour", "category", 4), Slot("price", "number"), Slot("tags", "bag", 3))
    values = {
        "colour": np.array([1, 2, 3, 0], np.int64),
        "price": np.array([[0.5], [-1.0], [2.0], [0.0]], np.float32),
        "tags": np.array([[0, 2], [1, -1], [-1, -1], [-1, -1]], np.int64),
    }
    table = ItemTable(ItemFacts(["ant", "bee", "cow"], slots, values, np.array([True, True, False])))
    days = ItemDays(FIRST_DAY, np.array([[0, 0, 0], [4, 1, 0]], np.float32), np.full(3, FIRST_DAY, np.float32))
    vectors = np.random.default_rng(1).normal(size=(4, RECALL_DIM)).astype(np.float32)
    vectors[3] = 0
    query_slots = (Slot("hour", "category", 24), Slot("age", "number"))
    return RankerParts(query_slots, table, ItemCounters(days), tf.constant(vectors), TASKS)


@pytest.fixture(scope="module")
def requests() -> dict[str, tf.Tensor]:
    """The last one has no history."""
    return {
        "history_row": tf.constant([[1, 0], [2, PAD], [PAD, PAD]]),
        "history_age_s": tf.constant([[3, 9], [5, 0], [0, 0]], tf.int64),
        "history_value": tf.constant([[1.0, 2.0], [3.0, 0.0], [0.0, 0.0]]),
        "hour": tf.constant([0, 23, 7], tf.int64),
        "age": tf.constant([[0.5], [-1.0], [0.0]]),
        "timestamp_ms": tf.constant([(FIRST_DAY + 1) * MS_PER_DAY] * 3, tf.int64),
        "recall_embedding": tf.constant([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0], [0.0, 0.0, 0.0]]),
    }
