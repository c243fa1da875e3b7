"""The whole pipeline on a small data set: what a good run leaves behind, and what a bad one does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.config import parse_config
from components.errors import AnomalyError, ConfigError, DataError, GateError
from components.schema import samples as names
from components.schema.features import REQUESTS_FOLDER, SnapshotFacts
from components.schema.request import request_inputs
from components.training.exported import Ranker, Towers, read_examples
from pipelines.nodes import NODES

pytestmark = pytest.mark.e2e

BEFORE_INDEX = NODES[: NODES.index("IndexBuilder")]
COMPARED = {"LastRelease", "Baseline", "Evaluator", "FunnelEvaluator", "Pusher"}  # they depend on which release is the last one


def document(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_a_column_that_is_not_there_stops_the_run_at_once(shop: Any) -> None:
    run = shop.runs["bad column"]
    assert isinstance(run.error, DataError)
    assert "events.parquet: dataset.events.columns.value names the column 'dwell_time', which is not there" in str(run.error)
    assert "found 'member', 'sku', 'what', 'seconds'" in str(run.error)
    assert run.cached == {}
    assert run.current is None


def test_an_index_that_finds_too_little_stops_the_run(shop: Any) -> None:
    run = shop.runs["bad index"]
    assert isinstance(run.error, GateError)
    assert "wanted at least 0.95 (index.min_recall)" in str(run.error)
    assert set(run.cached) == set(BEFORE_INDEX)
    assert run.current is None


def test_a_good_run_goes_on_from_the_last_good_node(shop: Any) -> None:
    run = shop.runs["good"]
    assert run.error is None
    assert set(run.cached) == set(NODES)
    assert {node for node, cached in run.cached.items() if cached} == set(BEFORE_INDEX) - {"LastRelease"}  # reads all settings
    assert run.current == 1


def test_the_same_again_runs_nothing(shop: Any) -> None:
    run = shop.runs["same"]
    assert run.error is None
    assert run.cached == dict.fromkeys(NODES, True)
    assert run.current == 1


def test_a_model_that_is_not_good_enough_is_not_pushed(shop: Any) -> None:
    """It was to be 1,000 times as good as popularity; the run is a good one, and the last release stays."""
    run = shop.runs["too good to ask"]
    assert run.error is None
    assert {node for node, cached in run.cached.items() if not cached} == COMPARED | {"BulkRecommender"}
    assert run.current == 1
    outcomes = [document(folder, "release.json") for folder in (shop.folder / "artifacts" / "Pusher" / "release").iterdir()]
    (withheld,) = [outcome for outcome in outcomes if not outcome["pushed"]]
    assert withheld["version"] is None
    (reason,) = withheld["reasons"]
    assert "popularity" in reason


def test_another_bound_runs_only_what_reads_it(shop: Any) -> None:
    run = shop.runs["again"]
    assert run.error is None
    assert {node for node, cached in run.cached.items() if not cached} == COMPARED | {"BulkRecommender"}
    assert set(run.cached) == set(NODES)
    assert run.current == 2


def test_changed_data_is_read_again_and_an_anomaly_stops_the_run(shop: Any) -> None:
    run = shop.runs["bad country"]
    assert isinstance(run.error, AnomalyError)
    assert "country (train split, error): Unexpected string values" in str(run.error)
    assert "Atlantis" in str(run.error)
    assert run.cached == dict.fromkeys(("Ingest", "LastRelease", "Samples", "StatisticsGen", "ExampleValidator"), False)
    assert run.current == 2


def test_failed_nodes_leave_nothing_behind(shop: Any) -> None:
    """One index, of the good run; no report of the validation that stopped the last one."""
    indexes = list((shop.folder / "artifacts" / "IndexBuilder" / "index").iterdir())
    assert [document(folder, "index.json")["kind"] for folder in indexes] == ["brute_force"]
    assert len(list((shop.folder / "artifacts" / "ValidationGate" / "report").iterdir())) == 1
    assert len(list((shop.folder / "artifacts" / "Ingest" / "event_log").iterdir())) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_releases_are_whole(shop: Any, version: int) -> None:
    shop.registry.verify(version)
    manifest = shop.registry.manifest(version)
    assert (manifest.name, manifest.candidates) == ("shop", 50)
    for part in (
        "config.json",
        "evaluation.json",
        "index/vectors.npy",
        "item_to_item/item.npy",
        "catalogue/items.parquet",
        "features/facts.json",
    ):
        assert f"bundles/{version}/{part}" in manifest.files
    for model in ("retrieval", "ranker"):
        assert f"models/{model}/{version}/saved_model.pb" in manifest.files
    assert manifest.metrics == document(shop.registry.bundle(version), "evaluation.json")["metrics"]["funnel"]


def test_the_release_says_what_was_pushed(shop: Any) -> None:
    outcome = document(shop.artifact("Pusher", "release"), "release.json")
    assert outcome == {"pushed": True, "version": 2, "path": str(shop.registry.bundle(2)), "reasons": []}


def test_what_reports_are_made_of_is_there(shop: Any) -> None:
    for node in ("RetrievalTrainer", "RankingTrainer"):
        record = document(shop.artifact(node, "model_run"), "history.json")
        assert record["metric"] in record["curves"]
    assert document(shop.artifact("InfraValidator", "check"), "check.json")["passed"]
    assert document(shop.artifact("IndexBuilder", "index"), "index.json")["recall_at_100"] == 1.0
    assert document(shop.artifact("BulkRecommender", "lists"), "summary.json")["user_count"] > 0
    assert isinstance(document(shop.artifact("ValidationGate", "report"), "anomalies.json"), list)


def test_the_evaluation_has_its_keys(shop: Any) -> None:
    judged = document(shop.registry.bundle(2), "evaluation.json")
    assert set(judged) == {
        "query_count", "k", "metrics", "intervals", "differences", "slices", "new_items", "prediction", "verdict", "samples",
    }  # fmt: skip
    systems = {"funnel", "recall_only", "item_to_item", "popularity", "random", "last_release"}
    assert set(judged["metrics"]) == set(judged["intervals"]) == systems
    assert set(judged["differences"]) == systems - {"funnel"}
    for metrics in judged["metrics"].values():
        assert {"ndcg@10", "recall@10", "recall@50", "coverage@10", "novelty@10", "diversity@10"} <= set(metrics)
    assert judged["verdict"]["blessed"] is True
    assert judged["samples"][0].keys() == {"user_id", "history", "recommended", "wanted"}


def test_the_same_release_is_judged_as_itself(shop: Any) -> None:
    """The second release holds the same models as the first, so that in the comparison they must be equal."""
    judged = document(shop.registry.bundle(2), "evaluation.json")
    assert judged["metrics"]["last_release"] == judged["metrics"]["funnel"]
    assert judged["differences"]["last_release"] == {"estimate": 0, "low": 0, "high": 0}


def test_bulk_lists_are_of_new_items_each_once(shop: Any) -> None:
    lists = pq.read_table(shop.artifact("BulkRecommender", "lists") / "lists.parquet").to_pylist()
    clicked: dict[str, set[str]] = {}
    for event in shop.events.select(["user_id", "item_id", "type"]).to_pylist():
        if event["type"] == "click":
            clicked.setdefault(event["user_id"], set()).add(event["item_id"])
    catalogue = set(pq.read_table(shop.registry.bundle(2) / "catalogue" / "items.parquet")["item_id"].to_pylist())
    assert {row["user_id"] for row in lists} == set(shop.events["user_id"].to_pylist())
    assert clicked
    for row in lists:
        assert len(row["item_id"]) == len(row["score"]) == 20
        assert len(set(row["item_id"])) == 20
        assert set(row["item_id"]) <= catalogue
        assert not set(row["item_id"]) & clicked.get(row["user_id"], set())
        assert row["score"] == sorted(row["score"], reverse=True)


@pytest.fixture
def served(shop: Any) -> dict[str, Any]:
    """Samples of the users' next requests, and the same as a server is sent them, one at a time."""
    bundle = shop.registry.bundle(1)
    config = parse_config((bundle / "config.json").read_text(), origin="release")
    types = SnapshotFacts.load(bundle / "features").types
    samples = read_examples(bundle / "features" / REQUESTS_FOLDER, 12)
    requests = [json.loads(json.dumps(request_inputs(sample, config, types))) for sample in samples]
    return {"samples": samples, "requests": requests}


def tensors(signature: Any, inputs: dict[str, list[Any]]) -> dict[str, tf.Tensor]:
    specs = signature.structured_input_signature[1]
    return {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}


def test_the_query_tower_answers_samples_and_requests_alike(shop: Any, served: dict[str, Any]) -> None:
    folder = shop.registry.model("retrieval", 1)
    learnt = Towers(folder).embed(served["samples"])
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    asked = [signature(**tensors(signature, request))["embedding"].numpy()[0] for request in served["requests"]]
    np.testing.assert_allclose(asked, learnt, rtol=1e-4, atol=1e-5)


def test_the_ranker_answers_samples_and_requests_alike(shop: Any, served: dict[str, Any]) -> None:
    folder = shop.registry.model("ranker", 1)
    ids = document(shop.registry.bundle(1) / "index", "item_ids.json")
    rows = np.array([0, 7, len(ids) - 1, 3], np.int32)
    learnt = Ranker(folder).scores(served["samples"], np.tile(rows, (len(served["samples"]), 1)))
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    candidates = {names.ITEM_ID: [[ids[row] for row in rows]]}
    asked = [signature(**tensors(signature, {**request, **candidates}))["score"].numpy()[0] for request in served["requests"]]
    np.testing.assert_allclose(asked, learnt, rtol=1e-4, atol=1e-5)


def test_both_models_agree_on_the_items_and_their_rows(shop: Any) -> None:
    ids = document(shop.registry.bundle(1) / "index", "item_ids.json")
    towers = Towers(shop.registry.model("retrieval", 1))
    assert towers.item_ids == ids
    np.testing.assert_array_equal(towers.item_vectors, np.load(shop.registry.bundle(1) / "index" / "vectors.npy"))


def test_from_a_node_that_the_last_run_has_not_come_to_is_refused(shop: Any) -> None:
    """That run was stopped by ValidationGate; the good ones before it had other data."""
    run = shop.runs["from too late"]
    assert isinstance(run.error, ConfigError)
    assert str(run.error) == (
        f"--from IndexBuilder: the last run in {shop.folder} has no result of ValidationGate, ItemToItem, Transform, "
        "RetrievalTrainer, wanted one to go on from; run without --from first"
    )
    assert run.cached == {}
