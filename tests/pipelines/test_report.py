import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.errors import ArtifactError
from components.report.record import NodeState, RankingSlice
from pipelines.report import collect, read_ranking, write_report

INDEX = {
    "kind": "brute_force", "item_count": 9, "dim": 4, "query_count": 5, "recall_at_100": 1.0, "min_recall": 0.95,
    "exact_ms_per_query": 0.1, "scann_ms_per_query": 0.1,
}  # fmt: skip


class Metadata:
    """Writes runs into an MLMD file in the shape that TFX gives them."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(workdir / "metadata.sqlite")
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = metadata_store.MetadataStore(config)
        self._types = {name: self._store.put_context_type(metadata_store_pb2.ContextType(name=name))
                       for name in ("pipeline", "pipeline_run", "node")}  # fmt: skip
        self._execution = self._store.put_execution_type(metadata_store_pb2.ExecutionType(name="step"))
        self._artifact = self._store.put_artifact_type(metadata_store_pb2.ArtifactType(name="thing"))

    def context(self, kind: str, name: str) -> int:
        found = self._store.get_context_by_type_and_name(kind, name)
        made = metadata_store_pb2.Context(type_id=self._types[kind], name=name)
        return found.id if found else self._store.put_contexts([made])[0]

    def node(
        self,
        run: str,
        node: str,
        state: str = "COMPLETE",
        files: Mapping[str, Mapping[str, Any]] | None = None,
        artifact: int | None = None,
        pipeline: str = "shop",
    ) -> int | None:
        """Record an execution; ``files``: of each output key its JSON documents by name. Returns its last artifact."""
        contexts = [self.context("pipeline", pipeline), self.context("pipeline_run", run),
                    self.context("node", f"{pipeline}.{node}")]  # fmt: skip
        known = metadata_store_pb2.Execution.State.Value(state)
        [execution] = self._store.put_executions(
            [metadata_store_pb2.Execution(type_id=self._execution, last_known_state=known)]
        )
        links = [metadata_store_pb2.Association(context_id=each, execution_id=execution) for each in contexts]
        self._store.put_attributions_and_associations([], links)
        outputs = {next(iter(files or {"": {}})): artifact} if artifact else {}
        for key, documents in (files or {}).items():
            if artifact:
                break
            folder = self.workdir / "artifacts" / node / key / str(execution)
            folder.mkdir(parents=True)
            for name, document in documents.items():
                (folder / name).write_text(json.dumps(document))
            made = metadata_store_pb2.Artifact(type_id=self._artifact, uri=str(folder))
            [outputs[key]] = self._store.put_artifacts([made])
        for key, made_id in outputs.items():
            event = metadata_store_pb2.Event(execution_id=execution, artifact_id=made_id, type=metadata_store_pb2.Event.OUTPUT)
            event.path.steps.add().key = key
            event.path.steps.add().index = 0
            self._store.put_events([event])
            artifact = made_id
        return artifact


@pytest.fixture
def metadata(tmp_path: Path) -> Metadata:
    return Metadata(tmp_path)


def test_a_work_directory_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no run yet; `winnow run --workdir .*` makes one"):
        collect(tmp_path)


def test_a_run_that_has_begun_nothing_is_no_run(metadata: Metadata) -> None:
    metadata.context("pipeline_run", "run-1")
    with pytest.raises(ArtifactError, match="holds no run yet"):
        collect(metadata.workdir)


def test_the_latest_run_counts_and_what_it_reused_is_found(metadata: Metadata) -> None:
    first = metadata.node("run-1", "IndexBuilder", files={"index": {"index.json": INDEX}})
    metadata.node(
        "run-1", "Pusher", files={"release": {"release.json": {"pushed": True, "version": 1, "path": "p", "reasons": []}}}
    )
    metadata.node("run-2", "IndexBuilder", "CACHED", {"index": {}}, artifact=first)
    metadata.node("run-2", "RankingTrainer", "FAILED")
    record = collect(metadata.workdir)
    assert (record.name, record.run_id) == ("shop", "run-2")
    assert [(node.node, node.state) for node in record.nodes] == [
        ("IndexBuilder", NodeState.CACHED),
        ("RankingTrainer", NodeState.FAILED),
    ]
    assert record.failed == "RankingTrainer"
    assert record.index == INDEX
    assert record.release is None  # of the run before


def test_a_node_that_was_tried_again_counts_once(metadata: Metadata) -> None:
    metadata.node("run-1", "IndexBuilder", "FAILED")
    metadata.node("run-1", "IndexBuilder", files={"index": {"index.json": INDEX}})
    record = collect(metadata.workdir)
    assert [node.state for node in record.nodes] == [NodeState.COMPLETE]
    assert record.index == INDEX


def test_a_pipeline_can_be_asked_for_by_name(metadata: Metadata) -> None:
    metadata.node("run-1", "Ingest")
    metadata.node("run-2", "Ingest", pipeline="other.shop")
    assert collect(metadata.workdir).name == "other.shop"
    assert collect(metadata.workdir).nodes[0].node == "Ingest"
    assert collect(metadata.workdir, "shop").run_id == "run-1"
    with pytest.raises(ArtifactError, match="holds no run of 'none' yet"):
        collect(metadata.workdir, "none")


def test_a_work_directory_may_have_moved(metadata: Metadata, tmp_path_factory: pytest.TempPathFactory) -> None:
    metadata.node("run-1", "IndexBuilder", files={"index": {"index.json": INDEX}})
    moved = tmp_path_factory.mktemp("elsewhere") / "run"
    metadata.workdir.rename(moved)
    assert collect(moved).index == INDEX


def test_where_the_gate_has_stopped_the_run_the_anomalies_are_those_of_the_validator(metadata: Metadata) -> None:
    metadata.node("run-1", "ExampleValidator", files={"anomalies": {}})
    metadata.node("run-1", "ValidationGate", "FAILED")
    [folder] = (metadata.workdir / "artifacts" / "ExampleValidator" / "anomalies").iterdir()
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["age"].severity = anomalies_pb2.AnomalyInfo.ERROR
    found.anomaly_info["age"].short_description = "Out of range"
    found.anomaly_info["age"].description = "200 is above 120"
    (folder / "Split-eval").mkdir()
    (folder / "Split-eval" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    wanted = {"split": "eval", "feature": "age", "severity": "error", "reason": "Out of range: 200 is above 120"}
    assert collect(metadata.workdir).anomalies == [wanted]


def test_the_page_replaces_the_one_before_it_and_leaves_nothing_else(metadata: Metadata, tmp_path: Path) -> None:
    metadata.node("run-1", "IndexBuilder", files={"index": {"index.json": INDEX}})
    output = tmp_path / "pages" / "report.html"
    for _ in range(2):
        assert write_report(metadata.workdir, output) == output
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]
    text = output.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>")
    assert "Recall@100 is 1.0000" in text


def test_tfma_metrics_and_missed_thresholds_are_put_into_words(tmp_path: Path) -> None:
    from tensorflow_model_analysis.proto import metrics_for_slice_pb2, validation_result_pb2

    config = {"evalConfig": {"modelSpecs": [{"name": ""}]}, "version": "0.52.0", "dataLocation": "", "fileFormat": "",
              "modelLocations": {"": ""}}  # fmt: skip
    (tmp_path / "eval_config.json").write_text(json.dumps(config))
    with tf.io.TFRecordWriter(str(tmp_path / "metrics-00000-of-00001.tfrecord")) as writer:
        for column, auc, count in (("", 0.8, 100.0), ("job", 0.4, 3.0)):
            of_slice = metrics_for_slice_pb2.MetricsForSlice()
            if column:
                of_slice.slice_key.single_slice_keys.add(column=column, bytes_value=b"doctor")
            for name, task, value in (("example_count", "", count), ("auc", "like", auc), ("auc_diff", "like", 0.0)):
                made = of_slice.metric_keys_and_values.add()
                made.key.name, made.key.output_name = name, task
                made.value.double_value.value = value
            writer.write(of_slice.SerializeToString())
    result = validation_result_pb2.ValidationResult()
    missed = result.metric_validations_per_slice.add()
    missed.slice_key.single_slice_keys.add(column="job", bytes_value=b"doctor")
    failure = missed.failures.add()
    failure.metric_key.name, failure.metric_key.output_name = "auc", "like"
    failure.metric_threshold.value_threshold.lower_bound.value = 0.5
    failure.metric_value.double_value.value = 0.4
    with tf.io.TFRecordWriter(str(tmp_path / "validations.tfrecord")) as writer:
        writer.write(result.SerializeToString())
    ranking = read_ranking(tmp_path)
    assert ranking.slices == [
        RankingSlice("", 100, {"like": {"auc": 0.8}}),
        RankingSlice("job=doctor", 3, {"like": {"auc": 0.4}}),
    ]
    assert ranking.failures == ["The auc of like for job=doctor is 0.4000, wanted at least 0.5."]
