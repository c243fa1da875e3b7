"""The whole pipeline on events alone: a run that is killed and gone on with, and runs from a node on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.errors import ConfigError
from components.report.record import NodeState
from pipelines.nodes import NODES
from pipelines.past_runs import latest_outputs

pytestmark = pytest.mark.e2e


def test_events_alone_are_enough(ratings: Any) -> None:
    """No items or users table, no event types: negatives are drawn, each person's last event is the test."""
    run = ratings.runs["good"]
    assert run.error is None
    assert set(run.cached) == set(NODES)
    assert run.current == 1
    ratings.registry.verify(1)
    judged = json.loads((ratings.registry.bundle(1) / "evaluation.json").read_text())
    assert judged["query_count"] == 40
    assert set(judged["metrics"]) == {"funnel", "recall_only", "item_to_item", "popularity", "random"}
    assert set(judged["prediction"]) == {"like"}  # `rate` compares with drawn negatives and is no rate
    lists = pq.read_table(ratings.artifact("BulkRecommender", "lists") / "lists.parquet").to_pylist()
    # Of 30 items each person has had 12: the 18 others, however many are wanted.
    assert {len(set(row["item_id"])) for row in lists} == {18}


def test_trainings_tell_of_each_epoch(ratings: Any) -> None:
    said = ratings.runs["good"].said
    assert set(said) == {"RetrievalTrainer", "RankingTrainer"}
    for lines in said.values():
        assert [line.partition(":")[0] for line in lines] == [
            f"epoch {n} of at most {len(lines)}" for n in range(1, len(lines) + 1)
        ]


def test_a_run_after_a_kill_goes_on_at_the_killed_node(ratings: Any) -> None:
    """The run was killed while RetrievalTrainer was writing its model."""
    killed, again = ratings.killed, ratings.runs["again"]
    done = NODES[: NODES.index("RetrievalTrainer")]
    assert [line.split()[1] for line in killed.lines[1:]] == list(done)
    assert (killed.node.node, killed.node.state) == ("RetrievalTrainer", NodeState.RUNNING)
    assert killed.current == 1
    assert again.error is None
    assert [node for node, cached in again.cached.items() if cached] == list(done)
    assert set(again.cached) == set(NODES)
    assert again.current == 2


def test_what_a_killed_node_had_written_is_gone(ratings: Any) -> None:
    models = ratings.folder / "artifacts" / "RetrievalTrainer" / "model"
    assert ratings.killed.folder.parent == models
    assert not ratings.killed.folder.exists()
    assert len(list(models.iterdir())) == 2  # of the first run and of the one after the kill


def test_releases_before_and_after_a_kill_are_whole(ratings: Any) -> None:
    assert ratings.registry.versions() == [1, 2, 3]
    for version in (1, 2, 3):
        ratings.registry.verify(version)
    assert not list(ratings.registry.folder.glob(".incoming-*"))


def test_from_a_node_runs_it_and_what_follows(ratings: Any) -> None:
    """InfraValidator and Pusher, on the models of the run before; unasked, both would have been taken from it too."""
    run = ratings.runs["from"]
    assert run.error is None
    assert run.cached == {"InfraValidator": False, "Pusher": False}
    assert run.current == 3
    for model in ("retrieval", "ranker"):
        [before, now] = [(ratings.registry.model(model, version) / "saved_model.pb").read_bytes() for version in (2, 3)]
        assert now == before
    outputs = latest_outputs(ratings.folder)
    assert {node for node, _ in outputs} == set(NODES)


def test_from_a_node_without_an_earlier_run_is_refused(tmp_path: Path, run_ratings: Callable) -> None:
    run = run_ratings("Transform")
    assert isinstance(run.error, ConfigError)
    assert str(run.error) == (
        f"--from Transform: found no earlier run of 'ratings' in {tmp_path / 'work'}, wanted one to take "
        "Ingest, LastRelease, Samples, StatisticsGen, ExampleValidator, ValidationGate, ItemToItem from; "
        "run without --from first"
    )


def test_from_an_unknown_node_is_refused(tmp_path: Path, run_ratings: Callable) -> None:
    run = run_ratings("Ranking")
    assert isinstance(run.error, ConfigError)
    assert str(run.error) == f"--from: found 'Ranking', wanted one of {', '.join(NODES)}"
    assert not (tmp_path / "work").exists()
