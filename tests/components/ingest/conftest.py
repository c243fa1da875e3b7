import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.config import DatasetConfig, parse_config
from components.errors import raised_as_ours
from components.ingest.beam import finish, ingest
from components.schema.catalogue import read_items, read_users
from components.schema.events import REJECTS_FILE, EventLogSummary, event_files


@dataclass(frozen=True)
class Ingested:
    """What an ingest run left behind."""

    log: Path
    catalogue: Path
    summary: EventLogSummary

    @property
    def events(self) -> pa.Table:
        return pa.concat_tables([pq.ParquetFile(path).read() for path in event_files(self.log)])

    @property
    def rejects(self) -> list[dict[str, Any]]:
        return pq.read_table(self.log / REJECTS_FILE).to_pylist()

    @property
    def items(self) -> list[dict[str, Any]]:
        return read_items(self.catalogue).to_pylist()

    @property
    def users(self) -> list[dict[str, Any]]:
        return read_users(self.catalogue).to_pylist()


def run(dataset: DatasetConfig, folder: Path, beam_args: Sequence[str]) -> Ingested:
    log, catalogue = folder / "log", folder / "catalogue"
    log.mkdir(parents=True)
    with raised_as_ours(), beam.Pipeline(argv=["--runner=FnApiRunner", *beam_args]) as pipeline:
        ingest(pipeline, dataset, log)
    return Ingested(log, catalogue, finish(dataset, log, catalogue))


@pytest.fixture
def run_ingest(tmp_path: Path) -> Callable[..., Ingested]:
    """Runs ingest for real; what it leaves lies in ``tmp_path``, below ``to``."""

    def ingest_into(dataset: DatasetConfig, to: str = "", beam_args: Sequence[str] = ()) -> Ingested:
        return run(dataset, tmp_path / to, beam_args)

    return ingest_into


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., DatasetConfig]:
    """The config of ``events.csv`` in ``tmp_path``, with columns user, item and time, and whatever else is given."""

    def make(events: Mapping[str, Any] = {}, columns: Mapping[str, str] = {}, **tables: Any) -> DatasetConfig:
        needed = {"user_id": "user", "item_id": "item", "timestamp": "time"}
        settings = {"path": "events.csv", **events, "columns": {**needed, **columns}}
        raw = {"name": "shop", "dataset": {"events": settings, "tasks": {"interact": {}}, **tables}}
        return parse_config(json.dumps(raw), origin="test").dataset.resolved(tmp_path)  # JSON is YAML

    return make
