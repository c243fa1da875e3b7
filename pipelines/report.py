"""Write the page about the latest run, from what MLMD knows of it and from the files of its nodes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import ArtifactError
from components.report.page import render
from components.report.read import read_record
from components.report.record import Json, NodeRun, NodeState, RankingEvaluation, RankingSlice, RunRecord

if TYPE_CHECKING:
    from ml_metadata.metadata_store.metadata_store import MetadataStore

METADATA_FILE = "metadata.sqlite"
STATES = {  # MLMD's other states are failures of some kind
    "NEW": NodeState.RUNNING,
    "RUNNING": NodeState.RUNNING,
    "COMPLETE": NodeState.COMPLETE,
    "CACHED": NodeState.CACHED,
}


def write_report(workdir: Path, output: Path) -> Path:
    """Write the page about the latest run in ``workdir``; a page that is there is replaced in one step.

    Raises:
      ArtifactError: there is no run, or a file of it cannot be read.
    """
    page = render(collect(workdir))
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(output)
    return output


def collect(workdir: Path, name: str | None = None) -> RunRecord:
    """What the latest run in ``workdir`` has left.

    Args:
      name: of the pipeline, where several share the work directory; None takes the latest run of any.

    Raises:
      ArtifactError: there is no run, or a file of it cannot be read.
    """
    metadata = workdir / METADATA_FILE
    if not metadata.is_file():
        raise ArtifactError(f"{workdir}: holds no run yet; `winnow run --workdir {workdir}` makes one")
    run = _LatestRun(_store(metadata), workdir, name)
    outputs = run.outputs()
    evaluation = outputs.get(("Evaluator", "evaluation"))
    return read_record(
        name=run.pipeline,
        run_id=run.run_id,
        workdir=str(workdir),
        nodes=run.nodes(),
        outputs=outputs,
        anomalies=_anomalies(outputs.get(("ExampleValidator", "anomalies"))),
        ranking=read_ranking(evaluation) if evaluation is not None and evaluation.is_dir() else None,
    )


def _store(metadata: Path) -> "MetadataStore":
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    proto: Any = metadata_store_pb2  # its messages are made at import, where no type checker sees them
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata)
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READONLY
    return metadata_store.MetadataStore(config)


def latest_outputs(workdir: Path) -> dict[tuple[str, str], Path]:
    """Of each node that has succeeded in the latest run, the folder of each output, by node and output."""
    return _LatestRun(_store(workdir / "metadata.sqlite"), workdir, None).outputs()


class _LatestRun:
    """The newest run that has begun a node: its nodes' latest executions, and what they have put out."""

    def __init__(self, store: "MetadataStore", workdir: Path, name: str | None) -> None:
        self._store, self._workdir = store, workdir
        runs = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: (run.create_time_since_epoch, run.id))
        for run in reversed(runs):
            executions = sorted(store.get_executions_by_context(run.id), key=lambda each: each.id)
            if not executions:
                continue
            pipeline, _ = self._names(executions[0])
            if name is None or pipeline == name:
                self.pipeline, self.run_id = pipeline, run.name
                # A node that was tried again has several: the newest counts.
                self._executions = {self._names(each)[1]: each for each in executions}
                return
        whose = f"of {name!r} " if name else ""
        raise ArtifactError(f"{workdir}: holds no run {whose}yet; `winnow run --workdir {workdir}` makes one")

    def _names(self, execution: Any) -> tuple[str, str]:
        """Of the pipeline and of the node, by the contexts that TFX puts an execution in."""
        named = {context.type: context.name for context in self._store.get_contexts_by_execution(execution.id)}
        pipeline = named.get("pipeline", "")
        return pipeline, named.get("node", execution.type).removeprefix(f"{pipeline}.")

    def nodes(self) -> list[NodeRun]:
        """In the order in which they began."""
        runs = [
            NodeRun(node, _state(each), each.create_time_since_epoch, each.last_update_time_since_epoch)
            for node, each in self._executions.items()
        ]
        return sorted(runs, key=lambda run: run.started_ms or 0)

    def outputs(self) -> dict[tuple[str, str], Path]:
        """Of each node that has succeeded, the folder of each output."""
        found: dict[tuple[str, str], Path] = {}
        for node, execution in self._executions.items():
            if _state(execution) not in (NodeState.COMPLETE, NodeState.CACHED):
                continue
            events = self._store.get_events_by_execution_ids([execution.id])
            keys = {event.artifact_id: event.path.steps[0].key for event in events
                    if event.Type.Name(event.type) == "OUTPUT" and event.path.steps}  # fmt: skip
            for artifact in self._store.get_artifacts_by_id(list(keys)):
                found[node, keys[artifact.id]] = self._here(Path(artifact.uri), node, keys[artifact.id])
        return found

    def _here(self, folder: Path, node: str, output: str) -> Path:
        """The folder, also where the whole work directory has been moved or copied since."""
        moved = self._workdir / "artifacts" / node / output / folder.name
        return moved if moved.is_dir() else folder


def _state(execution: Any) -> NodeState:
    return STATES.get(execution.State.Name(execution.last_known_state), NodeState.FAILED)


def _anomalies(folder: Path | None) -> list[Json] | None:
    """What ExampleValidator found: where the gate has stopped the run, it has left no report of its own."""
    if folder is None or not folder.is_dir():
        return None
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from components.validation.gate import read_anomalies

    found: list[Json] = []
    for file in sorted(folder.glob("Split-*/SchemaDiff.pb")):
        split = file.parent.name.removeprefix("Split-")
        found += [each.to_dict() for each in read_anomalies(split, anomalies_pb2.Anomalies.FromString(file.read_bytes()))]
    return found


def read_ranking(folder: Path) -> RankingEvaluation:
    """What TFMA's Evaluator measured of the candidate, and which thresholds it missed."""
    import tensorflow_model_analysis as tfma  # takes seconds to import

    slices = [
        RankingSlice(
            label=_slice_label(key),
            example_count=int(_value(metrics.get("", {}).get("", {}).get("example_count", {})) or 0),
            metrics=dict(_by_task(metrics)),
        )
        for key, metrics in tfma.load_eval_result(str(folder)).slicing_metrics
    ]
    validation = tfma.load_validation_result(str(folder))
    failures = [
        _failure(each, _slice_label([(part.column, _slice_value(part)) for part in of_slice.slice_key.single_slice_keys]))
        for of_slice in validation.metric_validations_per_slice
        for each in of_slice.failures
    ]
    return RankingEvaluation(slices, failures)


def _slice_label(key: Any) -> str:
    return ", ".join(f"{column}={value}" for column, value in key)


def _slice_value(part: Any) -> str:
    kind = part.WhichOneof("kind")
    value = getattr(part, kind) if kind else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _by_task(metrics: Json) -> Iterator[tuple[str, dict[str, float]]]:
    """Of each task its figures; ``_diff`` ones are comparisons with the last release, which the funnel's own table makes."""
    for task, of_task in metrics.items():
        figures = {name: _value(value) for name, value in of_task.get("", {}).items() if not name.endswith("_diff")}
        known = {name: value for name, value in figures.items() if value is not None and name != "example_count"}
        if known:
            yield task, known


def _value(value: Json) -> float | None:
    if "doubleValue" in value:
        return float(value["doubleValue"])  # JSON has "NaN" as text
    bounded = value.get("boundedValue", {})
    return float(bounded["value"]) if "value" in bounded else None


def _failure(failure: Any, label: str) -> str:
    where = f"for {label}" if label else "over all samples"
    task = f" of {failure.metric_key.output_name}" if failure.metric_key.output_name else ""
    found = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    wanted = []
    if threshold.value_threshold.HasField("lower_bound"):
        wanted.append(f"at least {threshold.value_threshold.lower_bound.value:g}")
    if threshold.HasField("change_threshold"):
        allowed = -100 * threshold.change_threshold.relative.value
        wanted.append(f"a fall of no more than {allowed:g} % against the last release")
    name = failure.metric_key.name.removesuffix("_diff")
    subject = f"The change of {name}" if failure.metric_key.is_diff else f"The {name}"
    return f"{subject}{task} {where} is {found:.4f}, wanted {' and '.join(wanted) or 'another'}."
