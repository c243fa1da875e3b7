from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.models.features import Slot
from components.schema.catalogue import ITEMS_FILE, items_schema
from components.schema.events import MS_PER_DAY
from components.training.items import item_facts, query_slots

ITEMS = [
    {"item_id": "a", "colour": "blue", "price": 3.0, "tags": ["big", "red"], "listed": 10 * MS_PER_DAY},
    {"item_id": "b", "colour": None, "price": None, "tags": None, "listed": None},
]


def test_items_are_transformed_as_samples_are(small_shop: Any, tmp_path: Path) -> None:
    """The item table inside the models and the item features of a sample must be the same numbers."""
    schema = items_schema(small_shop.config.dataset.item_features)
    rows = [{"title": "", "created_ms": 0, **item} for item in ITEMS]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / ITEMS_FILE)
    facts = item_facts(small_shop.config, tmp_path, small_shop.transform, np.array([True, False]))
    assert list(facts.ids) == ["a", "b"]
    # The vocabularies learnt: blue, green and the unknown one; red, big and the unknown one.
    assert facts.slots == (
        Slot("colour", "category", 3), Slot("price", "number"), Slot("tags", "bag", 3), Slot("listed", "number"),
    )  # fmt: skip
    of_samples = small_shop.transformed([{"colour": "blue", "price": [3.0], "tags": ["big", "red"], "listed": [10.0]}, {}])
    for slot in facts.slots:
        known, unknown = facts.values[slot.name][:-1], facts.values[slot.name][-1]
        np.testing.assert_array_equal(known, of_samples[slot.name], err_msg=slot.name)
        np.testing.assert_array_equal(unknown, np.full(unknown.shape, -1 if slot.kind == "bag" else 0))


def test_slots_of_a_request(small_shop: Any) -> None:
    slots = {
        slot.name: (slot.kind, slot.size) for slot in query_slots(small_shop.config, ("buy", "view"), small_shop.transform)
    }
    assert slots == {
        "country": ("category", 4),
        "age": ("number", 0),
        "interests": ("bag", 3),
        "context_hour": ("category", 24),
        "context_weekday": ("category", 7),
        "context_device": ("category", 2),
        "user_count_buy": ("number", 0),
        "user_count_view": ("number", 0),
        "user_idle_s": ("category", 34),
    }
