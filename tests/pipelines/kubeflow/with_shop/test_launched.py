"""The compiled YAML, run node by node as Kubeflow Pipelines does, comes to the same release as a run on this machine."""

import json
from typing import Any

import pytest

from components.push.mirror import open_registry
from components.storage.object_store import ObjectStore
from pipelines.kubeflow.settings import EXIT_HANDLER, KubeflowSettings
from pipelines.nodes import NODES
from tests.pipelines.kubeflow.compare import differences
from tests.pipelines.kubeflow.conftest import KILLED, REFUSED
from tests.pipelines.kubeflow.launcher import SUCCEEDED

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


def test_every_node_ends_well(cluster: Any) -> None:
    failed = {name: result.log[-3000:] for name, result in cluster.launcher.results.items() if result.state != SUCCEEDED}
    assert failed == {}
    assert cluster.state == SUCCEEDED
    assert {*NODES, EXIT_HANDLER} < set(cluster.launcher.results)


def test_the_release_is_that_of_a_local_run(cluster: Any, shop: Any) -> None:
    assert shop.runs["good"].current == 1
    assert differences(cluster.releases, 1, shop.registry) == {}


def test_a_killed_node_is_tried_again_and_leaves_nothing(cluster: Any, settings: KubeflowSettings) -> None:
    assert cluster.killed_files
    assert cluster.launcher.results[KILLED].attempts == 2
    model = cluster.launcher.results[KILLED].artifacts["model"]["uri"]
    stored = {each.name for each in ObjectStore(model).files()}
    assert "Format-Serving/saved_model.pb" in stored


def test_a_push_that_broke_off_made_one_release(cluster: Any) -> None:
    assert cluster.launcher.results[REFUSED].attempts == 2
    stored = [each.name for each in ObjectStore(cluster.releases).files()]
    with open_registry(cluster.releases) as registry:
        manifest = registry.manifest(1)
    assert set(stored) == {"current", "bundles/1/manifest.json", *manifest.files}


def test_the_release_says_where_it_is(cluster: Any) -> None:
    uri = cluster.launcher.results["Pusher"].artifacts["release"]["uri"]
    content = ObjectStore(uri).read("release.json")
    assert content is not None
    assert json.loads(content) == {"pushed": True, "version": 1, "path": f"{cluster.releases}/bundles/1", "reasons": []}


def test_the_outcome_is_reported(cluster: Any) -> None:
    assert cluster.posted == [{"pipeline": "shop", "run": "run-1", "state": "SUCCEEDED", "succeeded": True, "error": ""}]
    assert '"state": "SUCCEEDED"' in cluster.launcher.results[EXIT_HANDLER].log
