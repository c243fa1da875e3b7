"""The catalogue: every item and user with their features, in the form that the models are given.

Rows are sorted by id, and an item's place in ``items.parquet`` is its *item index* everywhere in a release.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.config.dataset import FeatureColumn, FeatureKind
from components.errors import ArtifactError

ITEMS_FILE = "items.parquet"
USERS_FILE = "users.parquet"

WORD = re.compile(r"\w+")
MAX_WORDS = 64

ARROW_TYPES = {
    FeatureKind.ID: pa.string(),
    FeatureKind.CATEGORICAL: pa.string(),
    FeatureKind.MULTI_VALUED: pa.list_(pa.string()),
    FeatureKind.NUMBER: pa.float32(),
    FeatureKind.TEXT: pa.list_(pa.string()),
    FeatureKind.TIMESTAMP: pa.int64(),  # ms UTC
}


def words(text: str) -> list[str]:
    """What a feature of kind text is made of."""
    return WORD.findall(text.lower())[:MAX_WORDS]


def items_schema(features: Mapping[str, FeatureColumn]) -> pa.Schema:
    return pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False),
            pa.field("title", pa.string(), nullable=False),
            pa.field("created_ms", pa.int64(), nullable=False),
            *(pa.field(name, ARROW_TYPES[feature.kind]) for name, feature in features.items()),
        ]
    )


def users_schema(features: Mapping[str, FeatureColumn]) -> pa.Schema:
    return pa.schema(
        [
            pa.field("user_id", pa.string(), nullable=False),
            *(pa.field(name, ARROW_TYPES[feature.kind]) for name, feature in features.items()),
        ]
    )


def read_items(catalogue: Path) -> pa.Table:
    return _read(catalogue / ITEMS_FILE)


def read_users(catalogue: Path) -> pa.Table:
    return _read(catalogue / USERS_FILE)


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ArtifactError(f"{path}: is no readable part of a catalogue ({error}); run the Ingest node again") from error
