import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from components.report.record import NodeRun
from components.schema.events import event_files
from pipelines import local_runner
from pipelines.past_runs import LatestRun

if TYPE_CHECKING:
    from tests.pipelines.trainings import Trainings

ROOT = Path(__file__).resolve().parents[2]
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
SIMULATION = SyntheticConfig(events=6_000, users=60, items=120, days=20, seed=3)
USER_COLUMNS = {"user_id": "member", "country": "land", "age_group": "cohort"}


@dataclass(frozen=True)
class Run:
    """What one run did.

    Attributes:
      cached: the nodes that ended, each with whether its result was there already.
      said: the nodes that told how far they were, each with all that it told.
    """

    cached: dict[str, bool]
    said: dict[str, list[str]]
    error: WinnowError | None
    current: int | None


@dataclass(frozen=True)
class Workdir:
    """A work directory and its runs, by what was special about them."""

    folder: Path
    runs: dict[str, Run]
    killed: "Killed | None" = None

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
    made = generate(SIMULATION, folder / "made", lambda line: None)
    for table, file, columns in (
        ("events", "events.parquet", EVENT_COLUMNS),
        ("items.parquet", "goods.parquet", ITEM_COLUMNS),
        ("users.parquet", "members.parquet", USER_COLUMNS),
    ):
        named = pq.read_table(made / table).select(list(columns)).rename_columns(list(columns.values()))
        pq.write_table(named, folder / file)


SMALL_MODELS: dict[str, Any] = {
    "retrieval": {"epochs": 1, "embedding_dim": 8, "hidden": [8], "batch_size": 64},
    "ranking": {"model": {"name": "dcn_v2", "cross_rank": 4, "cross_layers": 1, "hidden": [8]}, "epochs": 1,
                "embedding_dim": 4, "batch_size": 64, "candidates": 50, "negatives": 5},
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
        "ranking": {**SMALL_MODELS["ranking"], "calibration_slice": "device"},
        **changes,
    }  # fmt: skip


def every_step(pinned: str, banned: str) -> dict[str, Any]:
    """Re-ranking of the shop's lists by all that a gateway's settings can name, but rules."""
    return {
        "combination": {"click": {"weight": 1, "a": 0.8, "b": -0.1}},
        "freshness": {"weight": 0.1, "half_life_days": 5_000},
        "popularity": {"strength": 0.01},
        "diversity": {"method": "dpp", "relevance": 0.5},
        "caps": [{"feature": "category", "most": 2, "top": 8}],
        "pinned": {pinned: 3},
        "banned": [banned],
    }


def written(folder: Path, config: Mapping[str, Any]) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config), sort_keys=False))
    return file


def go(folder: Path, workdir: Path, config: Mapping[str, Any], from_node: str | None = None) -> Run:
    """One run of ``config``, whose paths count from ``folder``."""
    file = written(folder, config)
    cached: dict[str, bool] = {}
    said: dict[str, list[str]] = {}

    def note(event: local_runner.NodeEvent) -> None:
        if event.said is not None:
            said.setdefault(event.node, []).append(event.said)
        if event.seconds is not None:
            cached[event.node] = event.cached

    error = None
    try:
        local_runner.run(load_config(file), workdir, from_node, cache=True, on_event=note)
    except WinnowError as raised:
        error = raised
    return Run(cached, said, error, Registry(workdir / "releases").current())


@dataclass(frozen=True)
class Killed:
    """What a run has left that was killed while a node was writing.

    Attributes:
      lines: that it had printed, one of each node that had ended.
      current: the release that is served.
      node: the one that was killed; folder: one of its outputs, written in part.
    """

    lines: list[str]
    current: int | None
    node: NodeRun
    folder: Path


def kill(folder: Path, workdir: Path, config: Mapping[str, Any], node: str, output: str) -> Killed:
    """A run of ``config`` by a process that gets SIGKILL as soon as the first file of an output of ``node`` is there."""
    outputs = workdir / "artifacts" / node / output
    before = set(outputs.iterdir())
    command = ["run", "--config", str(written(folder, config)), "--workdir", str(workdir)]
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        files: list[Path] = []
        while not files:
            assert process.poll() is None, "the run has ended before it could be killed"
            time.sleep(0.01)
            files = [file for made in set(outputs.iterdir()) - before for file in made.rglob("*") if file.is_file()]
        process.kill()
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    [made] = set(outputs.iterdir()) - before
    return Killed(lines, Registry(workdir / "releases").current(), LatestRun(workdir).nodes()[-1], made)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """Runs of one work directory, in this order; the third to the sixth go through."""
    folder, workdir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    write_shop(folder)
    runs = {}
    bad_column = shop_config()
    bad_column["dataset"]["events"]["columns"]["value"] = "dwell_time"
    runs["bad column"] = go(folder, workdir, bad_column)
    # A tree over 120 items has 10 leaves, of which it may search 2: it cannot find 100 items.
    runs["bad index"] = go(folder, workdir, shop_config(index={"exact_below": 0, "max_leaf_share": 0.2}))
    runs["good"] = go(folder, workdir, shop_config())
    runs["same"] = go(folder, workdir, shop_config())
    strict = {**SMALL_MODELS["evaluation"], "min_ratio_to_popularity": 1_000}
    runs["too good to ask"] = go(folder, workdir, shop_config(evaluation=strict))
    runs["again"] = go(folder, workdir, shop_config(evaluation={**SMALL_MODELS["evaluation"], "min_auc": 0.01}))
    members = pq.read_table(folder / "members.parquet").to_pandas()
    members["land"] = "Atlantis"
    pq.write_table(pa.Table.from_pandas(members, preserve_index=False), folder / "members.parquet")
    runs["bad country"] = go(folder, workdir, shop_config())
    runs["from too late"] = go(folder, workdir, shop_config(), from_node="IndexBuilder")
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


def ratings_config() -> dict[str, Any]:
    return {
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


@pytest.fixture(scope="session")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Workdir:
    """Runs of one work directory, in this order, on events alone: negatives are drawn, the last two events held out."""
    folder, workdir = tmp_path_factory.mktemp("ratings"), tmp_path_factory.mktemp("ratings_work")
    write_ratings(folder / "ratings.csv")
    config = ratings_config()
    runs = {"good": go(folder, workdir, config)}
    longer = {**config, "retrieval": {**SMALL_MODELS["retrieval"], "epochs": 2}}
    killed = kill(folder, workdir, longer, "RetrievalTrainer", "model")
    runs["again"] = go(folder, workdir, longer)
    runs["from"] = go(folder, workdir, longer, from_node="InfraValidator")
    return Workdir(workdir, runs, killed)


@pytest.fixture(scope="module")
def trainings(ratings: Workdir, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Trainings"]:
    from tests.pipelines.trainings import Trainings

    processes: list[subprocess.Popen[bytes]] = []
    yield Trainings(ratings, tmp_path_factory.mktemp("trainings"), processes)
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def run_ratings(tmp_path: Path) -> Callable[[str], Run]:
    """A run from a given node on, in the work directory ``work`` of ``tmp_path``, where there has been none."""
    write_ratings(tmp_path / "ratings.csv")
    return lambda from_node: go(tmp_path, tmp_path / "work", ratings_config(), from_node)
