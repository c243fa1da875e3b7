"""A release of seven items whose neighbours can be seen by eye."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from components.config import PipelineConfig
from components.features.request import RequestForm
from components.index.index import ExactIndex
from components.item_to_item.neighbours import Neighbours
from components.schema.catalogue import items_schema, users_schema
from serving.gateway.filters import CatalogueFilter
from serving.gateway.keyed_rows import KeyedRows
from serving.gateway.release import Release, newest_first
from serving.gateway.segments import Segments

ITEM_FEATURES = {
    "genre": {"column": "genre", "kind": "categorical"},
    "tags": {"column": "tags", "kind": "multi_valued"},
    "price": {"column": "price", "kind": "number", "min": 0, "max": 100},
    "words": {"column": "words", "kind": "text"},
    "since": {"column": "since", "kind": "timestamp"},
    "colour": {"column": "colour", "kind": "categorical", "values": ["red", "blue"]},
}
DAY = 86_400_000
YEAR_2020 = 1_577_836_800_000
# On a line: the nearest by dot product to a positive query is item 6, then 5, …
VECTORS = np.array([[float(n), 1.0] for n in range(7)], np.float32)
# With item 0 go 2 (0.5) and 1 (0.3), with item 1 goes 2 (0.1) and not 3 (-0.2), with item 2 goes 5 (0.9).
NEIGHBOURS = Neighbours(
    np.array([0, 2, 4, 5, 5, 5, 5, 5]), np.array([2, 1, 2, 3, 5], np.int32), np.array([0.5, 0.3, 0.1, -0.2, 0.9], np.float32)
)


@pytest.fixture(scope="session")
def config() -> PipelineConfig:
    return PipelineConfig.model_validate(
        {
            "name": "seven",
            "dataset": {
                "events": {"path": "e.csv", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
                "items": {"path": "i.csv", "id": "i", "features": ITEM_FEATURES},
                "tasks": {"take": {}},
            },
        }
    )


@pytest.fixture
def release(config: PipelineConfig) -> Release:
    columns = config.dataset.item_features
    items = pa.Table.from_pylist(
        [
            {
                "item_id": f"i{n}",
                "title": f"Item {n}",
                "created_ms": YEAR_2020 - n * DAY,
                "genre": None if n == 6 else ["drama", "comedy"][n % 2],
                "tags": [["old", "short"], ["new"], [], None, ["old"], ["short"], ["new"]][n],
                "price": None if n == 5 else 9.99 + n,
                "words": ["star", "wars"] if n == 3 else None,
                "since": None if n == 0 else YEAR_2020 + n * DAY,
                "colour": None,
            }
            for n in range(7)
        ],
        schema=items_schema(columns),
    )
    return Release(
        version=1,
        published=datetime(2020, 1, 1, tzinfo=UTC),
        config=config,
        form=RequestForm(config, ("event",)),
        candidates=7,
        item_ids=np.array(items.column("item_id").to_pylist(), object),
        titles=items.column("title").to_pylist(),
        vectors=VECTORS,
        index=ExactIndex(VECTORS),
        neighbours=NEIGHBOURS,
        items=items,
        event_counts=np.array([4, 5, 6, 7, 3, 2, 1]),
        allowed=np.ones(7, bool),
        row_of_item={f"i{n}": n for n in range(7)},
        filter=CatalogueFilter(items, columns),
        segments=Segments((), {}),
        popular=np.array([3, 2, 1, 0, 4, 5, 6], np.int32),
        trending=np.array([2, 3, 4, 5, 6, 0, 1], np.int32),
        fresh=newest_first(items),
        users=KeyedRows.of(users_schema({}).empty_table(), "user_id"),
        states=KeyedRows.of(pa.table({"user_id": pa.array([], pa.string())}), "user_id"),
    )
