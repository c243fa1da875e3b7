"""Reads what the nodes have written into a record that is small, however large the data."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.errors import ArtifactError
from components.report.record import (
    Coverage,
    EventData,
    History,
    NodeRun,
    Popularity,
    RankingEvaluation,
    Reject,
    RunRecord,
    Statistics,
    TopItem,
)
from components.schema.catalogue import ITEMS_FILE, USERS_FILE
from components.schema.events import ITEM_DAYS_FILE, REJECTS_FILE, SUMMARY_FILE, EventLogSummary
from components.schema.features import FACTS_FILE

CURVE_POINTS = 240
HEAD_SHARE = 0.2
SHOWN_REJECTS = 20
TRAINERS = ("RetrievalTrainer", "RankingTrainer")

Part = TypeVar("Part")
Outputs = Mapping[tuple[str, str], Path]


def read_record(
    name: str,
    run_id: str,
    workdir: str,
    nodes: list[NodeRun],
    outputs: Outputs,
    anomalies: list[dict[str, Any]] | None = None,
    ranking: RankingEvaluation | None = None,
) -> RunRecord:
    """The record of a run whose outputs lie in these folders, by node and output key.

    Args:
      anomalies: to show where the gate has left no report.

    Raises:
      ArtifactError: a file is there but cannot be read. A file that is not there makes its part None.
    """

    def part(node: str, output: str, read: Callable[[Path], Part]) -> Part | None:
        folder = outputs.get((node, output))
        return _read(folder, read) if folder is not None else None

    catalogue = outputs.get(("Ingest", "catalogue"))
    reported = part("ValidationGate", "report", _json("anomalies.json"))
    histories = {node: part(node, "model_run", read_history) for node in TRAINERS}
    return RunRecord(
        name=name,
        run_id=run_id,
        workdir=workdir,
        nodes=nodes,
        data=part("Ingest", "event_log", lambda log: _event_data(log, catalogue)) if catalogue else None,
        statistics=part("Samples", "statistics", _statistics),
        split=part("Samples", "features", _json(FACTS_FILE)),
        anomalies=anomalies if reported is None else reported,
        histories={node: history for node, history in histories.items() if history is not None},
        index=part("IndexBuilder", "index", _json("index.json")),
        ranking=ranking,
        evaluation=part("FunnelEvaluator", "evaluation", _json("evaluation.json")),
        check=part("InfraValidator", "check", _json("check.json")),
        release=part("Pusher", "release", _json("release.json")),
        lists=part("BulkRecommender", "lists", _json("summary.json")),
    )


def _read(folder: Path, read: Callable[[Path], Part]) -> Part | None:
    try:
        return read(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: cannot be read for the report ({error}); run its node again") from error


def _json(file: str) -> Callable[[Path], Any]:
    return lambda folder: json.loads((folder / file).read_text())


def read_history(folder: Path) -> History:
    """Of the folder of a trainer's output ``model_run``."""
    return History(**_json("history.json")(folder))


def _event_data(log: Path, catalogue: Path) -> EventData:
    users = catalogue / USERS_FILE
    return EventData(
        log=EventLogSummary.from_dict(_json(SUMMARY_FILE)(log)),
        item_count=pq.read_metadata(catalogue / ITEMS_FILE).num_rows,
        user_count=pq.read_metadata(users).num_rows if users.exists() else None,
        popularity=popularity(pq.read_table(log / ITEM_DAYS_FILE, columns=["item_id", "event_count"])),
        rejects=_rejects(log / REJECTS_FILE),
    )


def popularity(item_days: pa.Table) -> Popularity:
    """Events by the rank of the item, thinned out to points that lie evenly on a logarithmic axis."""
    totals = item_days.group_by("item_id").aggregate([("event_count", "sum")]).column("event_count_sum")
    counts = np.sort(totals.to_numpy().astype(np.int64))[::-1]
    if not len(counts):
        return Popularity([], [], 0, 0, 0.0)
    ranks = np.unique(np.geomspace(1, len(counts), CURVE_POINTS).round().astype(np.int64))
    head = counts[: max(1, int(len(counts) * HEAD_SHARE))]
    return Popularity(
        rank=ranks.tolist(),
        event_count=counts[ranks - 1].tolist(),
        item_count=len(counts),
        event_total=int(counts.sum()),
        head_share=float(head.sum() / counts.sum()),
    )


def _rejects(path: Path) -> list[Reject]:
    """The first ones, without reading the rest: a broken source can refuse millions of rows."""
    if not path.exists():
        return []
    batch = next(pq.ParquetFile(path).iter_batches(SHOWN_REJECTS), None)
    return [Reject(**row) for row in batch.to_pylist()] if batch is not None else []


def _statistics(folder: Path) -> Statistics:
    items: dict[str, TopItem] = {}
    for row in pq.read_table(folder / "top_items.parquet").to_pylist():
        item = items.setdefault(row["item_id"], TopItem(row["item_id"], row["title"] or row["item_id"], row["total"], {}))
        item.events_by_type[row["type"]] = row["event_count"]
    coverage = pq.read_table(folder / "coverage.parquet")
    shares = pc.cast(coverage.column("active_item_share"), pa.float64()).to_pylist()
    return Statistics(list(items.values()), Coverage(coverage.column("day").to_pylist(), shares))
