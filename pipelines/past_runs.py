"""What TFX's metadata, one SQLite file in the work directory, knows of the runs before."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import ArtifactError
from components.report.record import NodeRun, NodeState

if TYPE_CHECKING:
    from ml_metadata.metadata_store.metadata_store import MetadataStore

METADATA_FILE, ARTIFACTS_FOLDER = "metadata.sqlite", "artifacts"
STATES = {  # MLMD's other states are failures of some kind
    "NEW": NodeState.RUNNING,
    "RUNNING": NodeState.RUNNING,
    "COMPLETE": NodeState.COMPLETE,
    "CACHED": NodeState.CACHED,
}


def latest_outputs(workdir: Path) -> dict[tuple[str, str], Path]:
    """Of each node that has succeeded in the latest run, the folder of each output, by node and output."""
    return LatestRun(workdir).outputs()


def clear_killed(workdir: Path) -> None:
    """Let nodes that were killed count as failed, and remove what they had written; nothing may be running."""
    if not (workdir / METADATA_FILE).exists():
        return
    store = _store(workdir / METADATA_FILE, writing=True)
    killed = [each for each in store.get_executions() if _state(each) is NodeState.RUNNING]
    for execution in killed:
        for folder in (workdir / ARTIFACTS_FOLDER).glob(f"*/*/{execution.id}"):
            shutil.rmtree(folder)
        execution.last_known_state = execution.FAILED
    if killed:
        store.put_executions(killed)


class LatestRun:
    """The newest run that has begun a node: its nodes' latest executions, and what they have put out.

    Args:
      name: of the pipeline, where several share the work directory; None takes the latest run of any.

    Raises:
      ArtifactError: there is no run.
    """

    def __init__(self, workdir: Path, name: str | None = None) -> None:
        self._workdir = workdir
        if (workdir / METADATA_FILE).is_file():
            self._store = store = _store(workdir / METADATA_FILE, writing=False)
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
        moved = self._workdir / ARTIFACTS_FOLDER / node / output / folder.name
        return moved if moved.is_dir() else folder


def _store(metadata: Path, writing: bool) -> "MetadataStore":
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    proto: Any = metadata_store_pb2  # its messages are made at import, where no type checker sees them
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata)
    modes = proto.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE_OPENCREATE if writing else modes.READONLY
    return metadata_store.MetadataStore(config)


def _state(execution: Any) -> NodeState:
    return STATES.get(execution.State.Name(execution.last_known_state), NodeState.FAILED)
