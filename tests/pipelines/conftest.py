from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.config import load_config
from components.datasets.synthetic import SyntheticConfig, generate
from components.datasets.synthetic.users import COUNTRIES
from components.errors import WinnowError
from components.push.registry import Registry
from components.schema.events import event_files
from pipelines import local_runner

EVENT_COLUMNS = {
    "user_id": "member", "item_id": "sku", "type": "what", "value": "seconds", "timestamp_ms": "at",
    "request_id": "page_view", "position": "place", "device": "gadget",
}  # fmt: skip
ITEM_COLUMNS = {
    "item_id": "sku",
    "title": "label",
    "category": "aisle",
    "tags": "words",
    "price": "cost",
    "created_ms": "listed",
}
USER_COLUMNS = {"user_id": "member", "country": "land", "age_group": "cohort"}


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


def write_shop(folder: Path) -> None:
    """Simulated impressions and clicks under a shop's own names."""
    config = SyntheticConfig(events=6_000, users=60, items=120, days=20, seed=3)
    made = generate(config, folder / "made", lambda line: None)
    for table, file, columns in (
        ("events", "events.parquet", EVENT_COLUMNS),
        ("items.parquet", "goods.parquet", ITEM_COLUMNS),
        ("users.parquet", "members.parquet", USER_COLUMNS),
    ):
        named = pq.read_table(made / table).select(list(columns)).rename_columns(list(columns.values()))
        pq.write_table(named, folder / file)


SMALL_MODELS: dict[str, Any] = {
    "retrieval": {"epochs": 1, "embedding_dim": 8, "hidden": [8], "batch_size": 64},
    "ranking": {"epochs": 1, "embedding_dim": 4, "cross_rank": 4, "cross_layers": 1, "hidden": [8], "batch_size": 64,
                "candidates": 50, "negatives": 5},
    "evaluation": {"k": [10, 50], "min_auc": 0, "min_ratio_to_popularity": 0, "min_ratio_to_previous": 0},
}  # fmt: skip


def shop_config(**changes: Any) -> dict[str, Any]:
    return {
        "name": "shop",
        "dataset": {
            "events": {
                "path": "events.parquet",
                "format": "parquet",
                "timestamp_unit": "ms",
                "columns": {
                    "user_id": "member", "item_id": "sku", "timestamp": "at", "type": "what", "value": "seconds",
                    "request_id": "page_view", "position": "place",
                },
                "context": {"device": {"column": "gadget"}},
            },
            "items": {
                "path": "goods.parquet",
                "format": "parquet",
                "id": "sku",
                "title": "label",
                "created": "listed",
                "created_unit": "ms",
                "features": {
                    "category": {"column": "aisle", "kind": "categorical"},
                    "tags": {"column": "words", "kind": "multi_valued"},
                    "price": {"column": "cost", "kind": "number", "min": 0},
                },
            },
            "users": {
                "path": "members.parquet",
                "format": "parquet",
                "id": "member",
                "features": {
                    "country": {"column": "land", "kind": "categorical", "values": list(COUNTRIES)},
                    "age_group": {"column": "cohort", "kind": "categorical"},
                },
            },
            "tasks": {
                "click": {"event": "click"},
                "dwell": {"event": "click", "kind": "regression", "weight": 0.01, "score_weight": 0.0},
            },
        },
        "samples": {"impressions": "impression", "history_length": 10},
        **SMALL_MODELS,
        **changes,
    }  # fmt: skip


def go(folder: Path, workdir: Path, config: Mapping[str, Any]) -> Run:
    """One run of ``config``, whose paths count from ``folder``."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    cached: dict[str, bool] = {}

    def note(event: local_runner.NodeEvent) -> None:
        if event.seconds is not None:
            cached[event.node] = event.cached

    error = None
    try:
        local_runner.run(load_config(file), workdir, from_node=None, cache=True, on_event=note)
    except WinnowError as raised:
        error = raised
    return Run(cached, error, Registry(workdir / "releases").current())


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """Runs of one work directory, in this order; the third to the fifth are good."""
    folder, workdir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    write_shop(folder)
    runs = {}
    bad_column = shop_config()
    bad_column["dataset"]["events"]["columns"]["value"] = "dwell_time"
    runs["bad column"] = go(folder, workdir, bad_column)
    # A tree over 120 items has 10 leaves, of which it searches 2: it cannot find 100 items.
    runs["bad index"] = go(folder, workdir, shop_config(index={"exact_below": 0}))
    runs["good"] = go(folder, workdir, shop_config())
    runs["same"] = go(folder, workdir, shop_config())
    runs["again"] = go(folder, workdir, shop_config(evaluation={**SMALL_MODELS["evaluation"], "min_auc": 0.01}))
    members = pq.read_table(folder / "members.parquet").to_pandas()
    members["land"] = "Atlantis"
    pq.write_table(pa.Table.from_pandas(members, preserve_index=False), folder / "members.parquet")
    runs["bad country"] = go(folder, workdir, shop_config())
    return Workdir(workdir, runs)


def write_ratings(file: Path) -> None:
    """40 people who each rate 12 of 30 items, those of their own parity with 5 and the others with 2; no other table."""
    rng = np.random.default_rng(9)
    lines = ["who,what,stars,moment"]
    for person in range(40):
        for place, item in enumerate(rng.choice(30, 12, replace=False)):
            stars = 5 if item % 2 == person % 2 else 2
            lines.append(f"p{person},t{item},{stars},{1_700_000_000 + 86_400 * place + 60 * person}")
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """One run on events alone: negatives are drawn, and each person's last two events are held out."""
    folder, workdir = tmp_path_factory.mktemp("ratings"), tmp_path_factory.mktemp("ratings_work")
    write_ratings(folder / "ratings.csv")
    config = {
        "name": "ratings",
        "dataset": {
            "events": {
                "path": "ratings.csv",
                "columns": {"user_id": "who", "item_id": "what", "timestamp": "moment", "value": "stars"},
            },
            "tasks": {"rate": {}, "like": {"when": "value >= 4", "score_weight": 0.0}},
        },
        "samples": {"history_length": 5, "negatives": 2, "split": {"kind": "leave_last_out"}},
        **SMALL_MODELS,
    }
    return Workdir(workdir, {"good": go(folder, workdir, config)})
