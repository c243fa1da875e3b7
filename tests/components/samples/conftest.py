import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.config import PipelineConfig, parse_config
from components.ingest.beam import finish, ingest
from components.samples.beam import TFRECORD, make_samples
from components.samples.plan import SamplePlan, make_plan
from components.schema.events import event_files
from components.schema.features import REQUESTS_FOLDER, read_interactions, read_user_states

Row = dict[str, Any]


def read_examples(folder: Path) -> list[Row]:
    """Every tf.Example below a folder: feature → list of its values, text decoded."""
    found = []
    for path in sorted(folder.glob("*.gz")):
        for record in tf.data.TFRecordDataset(str(path), compression_type=TFRECORD.compression_type).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            found.append({name: _values(feature) for name, feature in features.items()})
    return found


def _values(feature: tf.train.Feature) -> list[Any]:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return [value.decode() for value in values] if kind == "bytes_list" else values


@dataclass(frozen=True)
class Made:
    """What the samples of a log look like on disk, and the log."""

    config: PipelineConfig
    plan: SamplePlan
    folder: Path

    def split(self, name: str) -> list[Row]:
        return read_examples(self.folder / "examples" / f"Split-{name}")

    @property
    def all(self) -> list[Row]:
        return [{**row, "split": name} for name in ("train", "eval", "test") for row in self.split(name)]

    @property
    def requests(self) -> list[Row]:
        return read_examples(self.folder / "features" / REQUESTS_FOLDER)

    @property
    def events(self) -> list[Row]:
        return [row for path in event_files(self.folder / "log") for row in pq.ParquetFile(path).read().to_pylist()]

    @property
    def catalogue(self) -> dict[str, list[Row]]:
        return {name: pq.read_table(self.folder / "catalogue" / f"{name}.parquet").to_pylist() for name in ("items", "users")}

    @property
    def interactions(self) -> list[Row]:
        return read_interactions(self.folder / "features").to_pylist()

    @property
    def states(self) -> list[Row]:
        return read_user_states(self.folder / "features").to_pylist()


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Runs ingest and samples for real on tables given as rows, with settings given as in a config file."""

    def run(settings: Row, **tables: list[Row]) -> Made:
        folder = tmp_path_factory.mktemp("samples")
        for name, rows in tables.items():
            pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
        parsed = parse_config(json.dumps({"name": "shop", **settings}), origin="test")
        config = parsed.model_copy(update={"dataset": parsed.dataset.resolved(folder)})
        log, catalogue = folder / "log", folder / "catalogue"
        log.mkdir()
        with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
            ingest(pipeline, config.dataset, log)
        finish(config.dataset, log, catalogue)
        plan = make_plan(config, log, catalogue)
        with beam.Pipeline(argv=["--runner=FnApiRunner"]) as pipeline:
            make_samples(pipeline, config, plan, log, catalogue, folder / "examples", folder / "features")
        return Made(config, plan, folder)

    return run
