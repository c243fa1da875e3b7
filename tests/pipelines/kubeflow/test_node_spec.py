"""A node's settings in Kubeflow's terms, compared with what kfp and kfp-kubernetes themselves make of the same wishes."""

from typing import Any

import pytest
from kfp import dsl, kubernetes

from pipelines.kubeflow.node_spec import WEBHOOK_ENV, container, pod, retry_policy
from pipelines.kubeflow.settings import EXIT_HANDLER, KubeflowSettings

GOOD: dict[str, Any] = {"image": "a/b:1", "pipeline_root": "s3://bucket/root", "sources": "s3://bucket/data"}


def settings(node: dict[str, Any], **changes: Any) -> KubeflowSettings:
    return KubeflowSettings.model_validate({**GOOD, "nodes": {"Pusher": node}, **changes})


@dsl.container_component
def push() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="a/b:1", command=["true"])


@pytest.fixture
def asked_of_kfp() -> dict[str, Any]:
    """What kfp-kubernetes notes at a task that asks for everything; and its container's resources, and its retries."""
    found: dict[str, Any] = {}

    @dsl.pipeline(name="asking")
    def asking() -> None:
        task = push()
        kubernetes.set_image_pull_policy(task, "Always")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.use_secret_as_env(task, "store", {"key": "AWS_ACCESS_KEY_ID"})
        kubernetes.use_secret_as_volume(task, "certificates", "/certificates")
        kubernetes.mount_pvc(task, "data", "/data")
        kubernetes.add_node_selector(task, "accelerator", "nvidia")
        kubernetes.add_toleration(task, key="gpu", operator="Equal", value="yes", effect="NoExecute", toleration_seconds=60)
        kubernetes.set_timeout(task, 7200)
        task.set_cpu_request("1").set_cpu_limit("2").set_memory_request("1Gi").set_memory_limit("2Gi")
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2)
        task.set_env_variable("MODE", "fast")
        task.set_retry(3, backoff_duration="30s", backoff_factor=1.5, backoff_max_duration="600s")
        found["platform"] = task.platform_config["kubernetes"]

    spec = asking.pipeline_spec
    found["container"] = dict(spec.deployment_spec)["executors"]["exec-push"]["container"]
    found["retry"] = spec.root.dag.tasks["push"].retry_policy
    return found


ASKED = {
    "cpu": {"request": 1, "limit": 2},
    "memory": {"request": "1Gi", "limit": "2Gi"},
    "gpu": 2,
    "node_selector": {"accelerator": "nvidia"},
    "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoExecute", "seconds": 60}],
    "retries": {"count": 3, "backoff": "30s", "factor": 1.5, "max_backoff": "10m"},
    "timeout": "2h",
    "env": {"MODE": "fast"},
    "secrets": [{"name": "store", "env": {"key": "AWS_ACCESS_KEY_ID"}}, {"name": "certificates", "mount": "/certificates"}],
    "volumes": [{"claim": "data", "mount": "/data"}],
}


def test_a_pod_is_asked_for_as_kfp_kubernetes_does(asked_of_kfp: dict[str, Any]) -> None:
    ours = pod("Pusher", settings(ASKED, image_pull_policy="Always", image_pull_secrets=["registry"]))
    assert ours == asked_of_kfp["platform"]


def test_a_container_is_asked_for_as_kfp_does(asked_of_kfp: dict[str, Any]) -> None:
    asked = settings(ASKED)
    ours = container("Pusher", asked)
    theirs = asked_of_kfp["container"]
    for key, value in ours["resources"].items():
        if key != "accelerator":
            assert theirs["resources"][key] == value
    assert {key: theirs["resources"]["accelerator"][key] for key in ("resourceType", "resourceCount")} == (
        ours["resources"]["accelerator"]
    )
    assert ours["env"] == [{"name": each["name"], "value": each["value"]} for each in theirs["env"]]


def test_retries_are_asked_for_as_kfp_does(asked_of_kfp: dict[str, Any]) -> None:
    theirs = asked_of_kfp["retry"]
    assert retry_policy(settings(ASKED).node("Pusher")) == {
        "maxRetryCount": theirs.max_retry_count,
        "backoffDuration": f"{theirs.backoff_duration.seconds}s",
        "backoffFactor": theirs.backoff_factor,
        "backoffMaxDuration": f"{theirs.backoff_max_duration.seconds}s",
    }
    assert retry_policy(settings({"retries": {"count": 0}}).node("Pusher")) is None


def test_nothing_is_asked_for_that_was_not_wished() -> None:
    plain = settings({})
    assert pod("Pusher", plain) == {"imagePullPolicy": "IfNotPresent"}
    assert container("Pusher", plain) == {"image": "a/b:1"}


def test_a_nodes_own_image_and_the_stores_place() -> None:
    asked = settings({"image": "a/gpu:2"}, object_store={"endpoint": "http://minio:9000", "region": "x"})
    assert container("Pusher", asked) == {
        "image": "a/gpu:2",
        "env": [{"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"}, {"name": "AWS_REGION", "value": "x"}],
    }


def test_only_the_exit_handler_knows_the_webhook() -> None:
    asked = settings({}, webhook={"secret": "hook", "key": "address"})
    assert "secretAsEnv" not in pod("Pusher", asked)
    [secret] = pod(EXIT_HANDLER, asked)["secretAsEnv"]
    assert secret["keyToEnv"] == [{"secretKey": "address", "envVar": WEBHOOK_ENV}]


def test_a_trainer_is_the_chief_of_its_workers() -> None:
    workers = {"workers": ["winnow-trainer-0.winnow-trainer:2222"], "shared": "/mnt/winnow"}
    asked = settings({}, training=workers)
    environment = {each["name"]: each["value"] for each in container("RankingTrainer", asked)["env"]}
    assert environment == {
        "TF_CONFIG": '{"cluster": {"chief": ["winnow-trainer-chief:2222"], '
        '"worker": ["winnow-trainer-0.winnow-trainer:2222"]}, "task": {"type": "chief", "index": 0}}',
        "WINNOW_SHARED": "/mnt/winnow",
    }
    assert pod("RankingTrainer", asked)["podMetadata"] == {"labels": {"app.kubernetes.io/name": "winnow-trainer-chief"}}
    assert "env" not in container("Pusher", asked)
    assert "podMetadata" not in pod("Pusher", asked)
