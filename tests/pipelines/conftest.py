import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.config import load_config
from components.datasets.synthetic import SyntheticConfig, generate
from components.errors import WinnowError
from components.push.registry import Registry
from components.schema.events import event_files
from pipelines import local_runner

EVENT_COLUMNS = {
    "user_id": "member", "item_id": "sku", "type": "what", "value": "seconds", "timestamp_ms": "at",
    "request_id": "page_view", "position": "place", "device": "gadget",
}  # fmt: skip
ITEM_COLUMNS = {"item_id": "sku", "title": "label", "category": "aisle", "tags": "words", "price": "cost", "created_ms": "listed"}
USER_COLUMNS = {"user_id": "member", "country": "land", "age_group": "cohort"}
COUNTRIES = ["BR", "DE", "FR", "GB", "IN", "JP", "US"]


@dataclass(frozen=True)
class Run:
    """What one run did: the nodes that ended, each with whether its result was there already, and its error."""

    cached: dict[str, bool]
    error: WinnowError | None
    current: int | None


@dataclass(frozen=True)
class Workdir:
    """A work directory and its runs, by what was special about them."""

    folder: Path
    runs: dict[str, Run]

    @property
    def registry(self) -> Registry:
        return Registry(self.folder / "releases")

    def artifact(self, node: str, output: str) -> Path:
        """The newest."""
        found = (self.folder / "artifacts" / node / output).iterdir()
        return max((path for path in found if path.name.isdigit()), key=lambda path: int(path.name))

    @property
    def events(self) -> pa.Table:
        return pa.concat_tables([pq.ParquetFile(path).read() for path in event_files(self.artifact("Ingest", "event_log"))])


def write_shop(folder: Path, unexpected_country: bool = False) -> None:
    """Simulated impressions and clicks under a shop's own names."""
    made = generate(SyntheticConfig(events=6_000, users=60, items=120, days=20, seed=3), folder / "made", lambda line: None)
    events = pq.read_table(made / "events").select(list(EVENT_COLUMNS)).rename_columns(list(EVENT_COLUMNS.values()))
    pq.write_table(events, folder / "events.parquet")
    items = pq.read_table(made / "items.parquet").select(list(ITEM_COLUMNS)).rename_columns(list(ITEM_COLUMNS.values()))
    pq.write_table(items, folder / "goods.parquet")
    users = pq.read_table(made / "users.parquet").select(list(USER_COLUMNS)).rename_columns(list(USER_COLUMNS.values()))
    pq.write_table(users, folder / "members.parquet")
