"""A run is followed to its end, whatever that is, and through an installation that does not always answer."""

import io

import pytest
from rich.console import Console

from components.errors import ClusterError, RunFailedError
from pipelines.kubeflow.client.follow import Node, Outcome, follow, require_success
from pipelines.kubeflow.client.installation import KubeflowPipelines, Launch
from pipelines.kubeflow.client.package import Package
from pipelines.kubeflow.client.progress import RunProgress
from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi

LAUNCH = Launch("first", "shop", {})


def started(cluster: KubeflowPipelines, package: Package) -> str:
    return cluster.start(cluster.upload(package), LAUNCH)


def states(outcome: Outcome) -> dict[str, str]:
    return {node.name: node.state for node in outcome.nodes}


def test_each_node_is_seen_at_work_and_ended(cluster: KubeflowPipelines, package: Package) -> None:
    seen: list[Outcome] = []
    outcome = follow(cluster, started(cluster, package), package.nodes, seen.append, poll_s=0.0)
    assert outcome.state == "SUCCEEDED"
    assert seen[-1] == outcome
    assert states(seen[1]) == {"ingest": "SUCCEEDED", "samples": "RUNNING", "pusher": "PENDING", "report": "PENDING"}
    assert seen[1].nodes[0] == Node("ingest", "SUCCEEDED", seconds=7.0)
    assert set(states(outcome).values()) == {"SUCCEEDED"}
    require_success(outcome, "first", "link")


def test_a_failed_run_names_its_node(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    api.switches.fails = "samples"
    outcome = follow(cluster, started(cluster, package), package.nodes, lambda _: None, poll_s=0.0)
    assert states(outcome) == {"ingest": "SUCCEEDED", "samples": "FAILED", "pusher": "SKIPPED", "report": "SKIPPED"}
    with pytest.raises(RunFailedError) as raised:
        require_success(outcome, "first", "http://kfp/#/runs/details/r-1")
    assert str(raised.value) == "run 'first' failed: node samples failed. Its logs: http://kfp/#/runs/details/r-1"
    assert raised.value.exit_code == 8


def test_a_node_fails_with_its_driver(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    api.switches.driver_fails = "samples"
    outcome = follow(cluster, started(cluster, package), package.nodes, lambda _: None, poll_s=0.0)
    assert states(outcome)["samples"] == "FAILED"
    with pytest.raises(RunFailedError, match=r"node samples failed \(before it began: its driver failed\)"):
        require_success(outcome, "first", "link")


def test_a_cancelled_run_ends(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    run_id = started(cluster, package)
    outcome = follow(cluster, run_id, package.nodes, lambda _: api.cancel_runs(), poll_s=0.0)
    assert outcome.state == "CANCELED"
    with pytest.raises(RunFailedError, match="run 'first' was cancelled: it is not said why"):
        require_success(outcome, "first", "link")


def test_a_run_that_fails_as_a_whole_says_so() -> None:
    with pytest.raises(RunFailedError, match="run 'first' failed: quota exceeded"):
        require_success(Outcome("FAILED", (Node("ingest", "PENDING"),), "quota exceeded"), "first", "link")


def test_an_installation_may_be_away(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    run_id = started(cluster, package)
    api.switches.refuse = {"run_service_get_run": [(503, "upgrading"), (502, "<html>Bad gateway</html>"), (401, "expired")]}
    assert follow(cluster, run_id, package.nodes, lambda _: None, poll_s=0.0).state == "SUCCEEDED"


def test_an_installation_that_stays_away_is_told_with_the_link(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package
) -> None:
    run_id = started(cluster, package)
    api.switches.refuse = {"run_service_get_run": [(503, "upgrading")] * 1000}
    with pytest.raises(ClusterError) as raised:
        follow(cluster, run_id, package.nodes, lambda _: None, poll_s=0.0, patience_s=0.05)
    assert f"answered 503 while asking for run {run_id}: upgrading" in str(raised.value)
    assert f"may well go on: {api.url}/#/runs/details/{run_id}" in str(raised.value)


def test_a_run_that_is_deleted_is_not_waited_for(
    cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package
) -> None:
    run_id = started(cluster, package)
    with pytest.raises(RunFailedError, match=f"run {run_id} is not there any more; it has been deleted"):
        follow(cluster, run_id, package.nodes, lambda _: api.runs.clear(), poll_s=0.0)


def test_progress_has_a_line_for_every_node_once() -> None:
    shown = io.StringIO()
    progress = RunProgress(Console(file=shown, width=100))
    running = Outcome("RUNNING", (Node("ingest", "SUCCEEDED", 75.0), Node("samples", "RUNNING"), Node("pusher", "PENDING")))
    ended = Outcome("FAILED", (Node("ingest", "SUCCEEDED", 75.0), Node("samples", "FAILED", 3.0), Node("pusher", "PENDING")))
    for outcome in (running, running, ended):
        progress(outcome)
    progress.stop()
    assert shown.getvalue().splitlines() == [
        "  1/3 ingest                 succeeded       75 s",
        "  2/3 samples                failed           3 s",
        "  3/3 pusher                 not run",
    ]
