"""The pipeline's Beam work on a real Flink and a real Spark, beside the local runner: `make test-flink`, `make test-spark`."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
import yaml
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.config import load_config
from infra.scripts.job_server import SERVERS
from pipelines.beam_profiles import LOCAL_BEAM, ClusterBeam, LocalBeam
from pipelines.local_runner import run
from tests.pipelines.conftest import shop_config, write_shop
from tests.pipelines.job_server import job_server

CLUSTER_ENV = "WINNOW_TEST_CLUSTER"
CLUSTER = os.environ.get(CLUSTER_ENV, "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1_200),
    pytest.mark.skipif(not CLUSTER, reason="`make test-flink` and `make test-spark` fetch what this needs, and run it"),
]


@dataclass(frozen=True)
class Twice:
    """One work directory in which each node has run by the local runner and on the cluster, in turn."""

    workdir: Path

    def outputs(self, node: str, output: str, last: int = 2) -> list[Path]:
        """The newest artifacts, newest last."""
        found = (path for path in (self.workdir / "artifacts" / node / output).iterdir() if path.name.isdigit())
        return sorted(found, key=lambda path: int(path.name))[-last:]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    folder, workdir = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("work")
    write_shop(folder)
    (folder / "shop.yaml").write_text(yaml.safe_dump(shop_config()))
    config = load_config(folder / "shop.yaml")

    def go(from_node: str | None, beam: LocalBeam | ClusterBeam) -> None:
        run(config, workdir, from_node, False, lambda event: None, beam)

    with job_server(CLUSTER, SERVERS / CLUSTER, folder / "job-server.log") as address:
        go(None, LOCAL_BEAM)
        go(None, ClusterBeam(profile=CLUSTER, job_server=address, parallelism=2))  # type: ignore[arg-type]
    # What follows the trainers depends on their models, and these on the samples' order: once more, from the same models.
    for node in ("Evaluator", "FunnelEvaluator", "BulkRecommender"):
        go(node, LOCAL_BEAM)
    return Twice(workdir)


def rows(folder: Path) -> list[str]:
    """Of all Parquet files that lie there, in an order that does not depend on who wrote them."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
    tables = [pq.ParquetFile(path).read() for path in files]
    assert tables
    return sorted(map(repr, pa.concat_tables(tables).to_pylist()))


def records(folder: Path) -> Counter[bytes]:
    files = [str(path) for path in sorted(folder.rglob("*.gz"))]
    found = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    # The features of an Example are a map, of which any order is as good.
    return Counter(tf.train.Example.FromString(each).SerializeToString(deterministic=True) for each in found)


def test_the_event_log_and_the_catalogue(twice: Twice) -> None:
    for output in ("event_log", "catalogue"):
        here, there = (
            {path.relative_to(each): rows(path) for path in each.rglob("*.parquet")} for each in twice.outputs("Ingest", output)
        )
        assert here == there


def test_the_samples(twice: Twice) -> None:
    here, there = twice.outputs("Samples", "examples")
    for split in ("train", "eval", "test"):
        assert records(here / f"Split-{split}") == records(there / f"Split-{split}")
        assert records(here / f"Split-{split}")


def test_the_feature_snapshot(twice: Twice) -> None:
    here, there = twice.outputs("Samples", "features")
    for table in ("interactions", "user_states"):
        assert rows(here / table) == rows(there / table)


def test_the_neighbours(twice: Twice) -> None:
    here, there = (
        {path.name: path.read_bytes() for path in each.iterdir()} for each in twice.outputs("ItemToItem", "neighbours")
    )
    assert sorted(here) == ["item.npy", "score.npy", "start.npy"]
    assert here == there


def test_the_statistics(twice: Twice) -> None:
    here, there = twice.outputs("StatisticsGen", "statistics")
    for split in ("train", "eval", "test"):
        assert facts(here / f"Split-{split}") == facts(there / f"Split-{split}")


def facts(folder: Path) -> dict[str, object]:
    """Counts, extremes and means; histograms are approximations, which depend on the order."""
    raw = (folder / "FeatureStats.pb").read_bytes()
    [of_all] = statistics_pb2.DatasetFeatureStatisticsList.FromString(raw).datasets
    found: dict[str, object] = {"": of_all.num_examples}
    for feature in of_all.features:
        name = feature.path.step[0]
        kind = feature.WhichOneof("stats")
        common = getattr(feature, kind).common_stats
        found[name] = (kind, common.num_non_missing, common.min_num_values, common.max_num_values, common.tot_num_values)
        if kind == "num_stats":
            numbers = feature.num_stats
            found[f"{name}'s numbers"] = (numbers.num_zeros, numbers.min, numbers.max, f"{numbers.mean:.9g}")
        elif kind == "string_stats":
            found[f"{name}'s words"] = feature.string_stats.unique
    return found


def test_the_vocabularies(twice: Twice) -> None:
    here, there = (
        {path.name: path.read_bytes() for path in (each / "transform_fn" / "assets").iterdir()}
        for each in twice.outputs("Transform", "transform_graph")
    )
    assert here == there
    assert here


def test_the_metrics_of_the_ranker(twice: Twice) -> None:
    here, there = (metrics(each) for each in twice.outputs("Evaluator", "evaluation"))
    assert here == there
    assert here


def metrics(folder: Path) -> dict[object, float]:
    result = tfma.load_eval_result(str(folder))
    return {
        (slice_key, output, name): round(value["doubleValue"], 5)
        for slice_key, outputs in result.slicing_metrics
        for output, of_output in outputs.items()
        for names in of_output.values()
        for name, value in names.items()
        if "doubleValue" in value
    }


def test_the_metrics_of_the_funnel(twice: Twice) -> None:
    here, there = (
        json.loads((each / "evaluation.json").read_text())["metrics"] for each in twice.outputs("FunnelEvaluator", "evaluation")
    )
    assert here.keys() == there.keys()
    for system, values in here.items():
        assert there[system] == pytest.approx(values, abs=1e-6)


def test_the_lists_for_all(twice: Twice) -> None:
    here, there = twice.outputs("BulkRecommender", "lists")
    assert rows(here) == rows(there)
