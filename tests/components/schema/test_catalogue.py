"""Catalogue and snapshot: what is written can be read, and what cannot be read says what to do."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import FeatureColumn, FeatureKind
from components.errors import ArtifactError
from components.schema.catalogue import ARROW_TYPES, ITEMS_FILE, items_schema, read_items, read_users, users_schema
from components.schema.features import SnapshotFacts


def test_each_kind_has_its_type() -> None:
    features = {f"x_{kind}": FeatureColumn(column="c", kind=kind) for kind in FeatureKind}
    schema = items_schema(features)
    assert schema.names == ["item_id", "title", "created_ms", *features]
    assert {name: schema.field(name).type for name in features} == {f"x_{kind}": ARROW_TYPES[kind] for kind in FeatureKind}
    assert users_schema(features).names == ["user_id", *features]


def test_a_catalogue_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"users\.parquet: is no readable part of a catalogue .*run the Ingest node again"):
        read_users(tmp_path)
    (tmp_path / ITEMS_FILE).write_text("no parquet")
    with pytest.raises(ArtifactError, match=r"items\.parquet: is no readable part of a catalogue"):
        read_items(tmp_path)


def test_items_are_read_as_written(tmp_path: Path) -> None:
    items = pa.Table.from_pylist([{"item_id": "a", "title": "A", "created_ms": 1}], schema=items_schema({}))
    pq.write_table(items, tmp_path / ITEMS_FILE)
    assert read_items(tmp_path).equals(items)


def test_facts_are_read_as_written(tmp_path: Path) -> None:
    facts = SnapshotFacts(types=("buy", "view"), eval_from_ms=1, test_from_ms=2, last_timestamp_ms=3)
    facts.save(tmp_path)
    assert SnapshotFacts.load(tmp_path) == facts


def test_facts_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"facts\.json: cannot be read .*run the Samples node again"):
        SnapshotFacts.load(tmp_path)
    (tmp_path / "facts.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"facts\.json: cannot be read"):
        SnapshotFacts.load(tmp_path)
