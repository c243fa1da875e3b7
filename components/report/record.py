"""What the page shows of one run, apart from how it shows it.

A part is None where its node has left nothing: it was not reached, it failed, or its files are gone.
"""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from components.schema.events import EventLogSummary

Json = dict[str, Any]


class NodeState(StrEnum):
    COMPLETE = "complete"
    CACHED = "reused"
    FAILED = "failed"
    RUNNING = "running"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class NodeRun:
    """One node of the run; times are UTC milliseconds since 1970."""

    node: str
    state: NodeState
    started_ms: int | None = None
    ended_ms: int | None = None

    @property
    def seconds(self) -> float:
        return (self.ended_ms - self.started_ms) / 1000 if self.started_ms and self.ended_ms else 0.0


@dataclass(frozen=True)
class Popularity:
    """How the events are spread over the items: the long tail.

    Attributes:
      rank: from 1, ascending, thinned out evenly on a logarithmic scale; event_count: of the item at each rank.
      item_count: items with an event; event_total: of all of them.
      head_share: the share of the events that falls on the most popular fifth of those items.
    """

    rank: list[int]
    event_count: list[int]
    item_count: int
    event_total: int
    head_share: float


@dataclass(frozen=True)
class Reject:
    file: str
    row: int
    reason: str
    content: str


@dataclass(frozen=True)
class EventData:
    """What was read."""

    log: EventLogSummary
    item_count: int
    user_count: int | None  # None: the data set has no table of users
    popularity: Popularity
    rejects: list[Reject]  # the first ones


@dataclass(frozen=True)
class TopItem:
    item_id: str
    title: str
    event_count: int
    events_by_type: dict[str, int]


@dataclass(frozen=True)
class Coverage:
    """By day: the share of the catalogue that had an event, 0 to 1."""

    days: list[date]
    active_item_share: list[float]


@dataclass(frozen=True)
class Statistics:
    top_items: list[TopItem]
    coverage: Coverage


@dataclass(frozen=True)
class History:
    """One training: of each curve its value after each epoch, and each epoch's seconds; ``best_epoch`` counts from 1."""

    metric: str
    best_epoch: int
    curves: dict[str, list[float]]
    seconds: list[float] = field(default_factory=list)  # runs of earlier versions have none


@dataclass(frozen=True)
class RankingSlice:
    """TFMA's metrics of the ranker in one slice; ``label`` is empty for all samples together."""

    label: str
    example_count: int
    metrics: dict[str, dict[str, float]]  # task → metric → value


@dataclass(frozen=True)
class RankingEvaluation:
    """What TFMA measured, and the thresholds that were missed, in words."""

    slices: list[RankingSlice]
    failures: list[str]


@dataclass(frozen=True)
class RunRecord:
    """One run of the pipeline.

    Attributes:
      run_id: TFX's name of the run; workdir: as the user wrote it, for command lines.
      nodes: those that began, in the order of time.
      histories: by the node that trained.
      split: where the splits by time begin, ``facts.json`` of the feature snapshot.
      anomalies, index, evaluation, check, release, lists: the documents of their nodes, as stored.
    """

    name: str
    run_id: str
    workdir: str
    nodes: list[NodeRun]
    data: EventData | None = None
    statistics: Statistics | None = None
    split: Json | None = None
    anomalies: list[Json] | None = None
    histories: dict[str, History] = field(default_factory=dict)
    index: Json | None = None
    ranking: RankingEvaluation | None = None
    evaluation: Json | None = None
    check: Json | None = None
    release: Json | None = None
    lists: Json | None = None

    def node(self, name: str) -> NodeRun:
        return next((node for node in self.nodes if node.node == name), NodeRun(name, NodeState.NOT_REACHED))

    @property
    def failed(self) -> str | None:
        """The node that ended the run, if one did."""
        return next((node.node for node in self.nodes if node.state is NodeState.FAILED), None)
