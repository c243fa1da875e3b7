"""Run the pipeline in this process, on Beam's local runner, with its metadata in the work directory."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from absl import logging as absl_logging
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline, RunOptions

from components.config import PipelineConfig
from components.errors import ArtifactError, ConfigError, causes, raised_in_worker
from components.ingest.sources import sources_fingerprint
from components.push.last_release import comparable_release, made_from
from components.push.registry import Registry
from components.report.record import NodeState
from pipelines.beam_profiles import LOCAL_BEAM, ClusterBeam, LocalBeam
from pipelines.equal_batches import read_in_equal_batches
from pipelines.nodes import nodes_of
from pipelines.past_runs import ARTIFACTS_FOLDER, METADATA_FILE, LatestRun, clear_killed
from pipelines.recommender import Known, Places, create_pipeline

OURS = logging.getLogger("winnow")


@dataclass(frozen=True)
class NodeEvent:
    """A node has begun, or ended (``seconds``), or tells how far it is (``said``)."""

    node: str
    place: int
    count: int
    seconds: float | None = None
    cached: bool = False
    said: str | None = None


def places(workdir: Path) -> Places:
    """Where a run in ``workdir`` keeps its things."""
    metadata = sqlite_metadata_connection_config(str(workdir / METADATA_FILE))
    return Places(str(workdir / ARTIFACTS_FOLDER), str(workdir / "releases"), str(workdir / "checkpoints"), metadata)


def known(config: PipelineConfig, workdir: Path) -> Known:
    """What the run in ``workdir`` will find."""
    sources = sources_fingerprint(config.dataset)
    release = comparable_release(config, Registry(workdir / "releases"), made_from(sources, config.model_dump_json()))
    return Known(sources, str(release))


def run(
    config: PipelineConfig,
    workdir: Path,
    from_node: str | None,
    cache: bool,
    on_event: Callable[[NodeEvent], None],
    beam: LocalBeam | ClusterBeam = LOCAL_BEAM,
    until: str | None = None,
) -> None:
    """Run every node, or those from ``from_node`` on with what came before it taken from the last run.

    Args:
      until: run no more than this node and what comes before it.

    Raises:
      ConfigError: there is no such node, the last run has not come as far, or Beam's workers do not see ``workdir``.
      ServingError: no job server answers.
      WinnowError: a node failed; the next run goes on from the last good one.
    """
    nodes = nodes_of(config)
    if from_node is not None and from_node not in nodes:
        raise ConfigError(f"--from: found {from_node!r}, wanted one of {', '.join(nodes)}")
    workdir = workdir.resolve()
    if isinstance(beam, ClusterBeam):
        beam.check_place(workdir, "--workdir")
        beam.check_answers()
    workdir.mkdir(parents=True, exist_ok=True)
    read_in_equal_batches()
    with _only_run(workdir), _following(on_event, len(nodes)):
        clear_killed(workdir)
        pipeline = create_pipeline(
            config, places(workdir), known(config, workdir), beam.arguments(), cache and from_node is None
        )
        options = _starting_at(from_node, nodes, pipeline, workdir) if from_node else None
        if until is not None:
            options = RunOptions(to_nodes=[until])
        try:
            LocalDagRunner().run(pipeline, options)
        except Exception as error:
            ours = next(filter(None, map(raised_in_worker, causes(error))), None)
            if ours is None:
                raise
            raise ours from error


def _starting_at(node: str, nodes: tuple[str, ...], pipeline: Pipeline, workdir: Path) -> RunOptions:
    """Run ``node`` and all that follows from it, the rest taken from the last run of the same pipeline."""
    begun = {node}
    for each in pipeline.components:  # in the order of the data's flow
        if begun & {before.id for before in each.upstream_nodes}:
            begun.add(each.id)
    rest = [each for each in nodes if each not in begun]
    if not rest:
        return RunOptions(from_nodes=[node])
    name = pipeline.pipeline_info.pipeline_name
    try:
        last = LatestRun(workdir, name)
    except ArtifactError as error:
        raise ConfigError(
            f"--from {node}: found no earlier run of {name!r} in {workdir}, wanted one to take {', '.join(rest)} from; "
            "run without --from first"
        ) from error
    done = {each.node for each in last.nodes() if each.state in (NodeState.COMPLETE, NodeState.CACHED)}
    missing = [each for each in rest if each not in done]
    if missing:
        raise ConfigError(
            f"--from {node}: the last run in {workdir} has no result of {', '.join(missing)}, wanted one to go on from; "
            "run without --from first"
        )
    return RunOptions(from_nodes=[node], base_pipeline_run_id=last.run_id)


@contextmanager
def _only_run(workdir: Path) -> Iterator[None]:
    """Refuse a second run in the same work directory while this one is at it."""
    file: TextIO
    with (workdir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"{workdir}: another run is at work here; wait for it, or use another --workdir") from error
        yield


@contextmanager
def _following(on_event: Callable[[NodeEvent], None], count: int) -> Iterator[None]:
    handler = _NodeFollower(on_event, count)
    logger = absl_logging.get_absl_logger()
    verbosity, level = absl_logging.get_verbosity(), OURS.level
    # By absl's own setting: Keras puts that back after each save, and what the logger was told by others is lost then.
    absl_logging.set_verbosity(absl_logging.INFO)
    OURS.setLevel(logging.INFO)
    for each in (logger, OURS):
        each.addHandler(handler)
    try:
        yield
    finally:
        for each in (logger, OURS):
            each.removeHandler(handler)
        absl_logging.set_verbosity(verbosity)
        OURS.setLevel(level)


class _NodeFollower(logging.Handler):
    """TFX's local runner tells of its progress only in its log, and so do trainings of theirs."""

    def __init__(self, on_event: Callable[[NodeEvent], None], count: int) -> None:
        super().__init__(logging.INFO)
        self._on_event, self._count = on_event, count
        self._started, self._cached, self._place, self._node = 0.0, False, 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(OURS.name):
            self._tell(self._node, said=record.getMessage())
            return
        message = str(record.msg)
        node = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        if message == "Component %s is running.":
            self._started, self._cached = time.monotonic(), False
            self._place += 1
            self._node = node
            self._tell(node)
        elif message == "A cached execution %d is used.":
            self._cached = True
        elif message == "Component %s is finished.":
            self._tell(node, time.monotonic() - self._started)

    def _tell(self, node: str, seconds: float | None = None, said: str | None = None) -> None:
        self._on_event(NodeEvent(node, self._place, self._count, seconds, self._cached, said))
