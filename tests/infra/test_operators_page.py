"""What the operators' page has made by hand is what manifests and settings ask for, by the same names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import load_config
from pipelines.kubeflow.settings import CHIEF_LABEL, KubeflowSettings, TrainingWorkers, load_kubeflow
from pipelines.nodes import READING_RELEASES

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "infra" / "k8s"
PAGE = (K8S / "README.md").read_text()


@pytest.fixture(scope="module")
def settings() -> KubeflowSettings:
    return load_kubeflow(ROOT / "infra" / "config" / "kubeflow.yaml")


def documents(*folders: str) -> list[dict[str, Any]]:
    paths = [path for folder in folders for path in sorted((K8S / folder).glob("*.yaml"))]
    found = [document for path in paths for document in yaml.safe_load_all(path.read_text())]
    return [each for each in found if isinstance(each, dict) and "metadata" in each]


def named(kind: str, *folders: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in documents(*folders) if each["kind"] == kind}


def made_secrets() -> dict[str, set[str]]:
    commands = re.findall(r"create secret generic (\S+)((?:[^\n]|\\\n)*)", PAGE.replace("\\\n", " "))
    return {name: set(re.findall(r"--from-literal=(\w+)=", rest)) for name, rest in commands}


def test_the_secrets_are_those_that_the_pipeline_takes(settings: KubeflowSettings) -> None:
    made = made_secrets()
    assert settings.webhook is not None
    assert settings.webhook.key in made[settings.webhook.secret]
    for secret in settings.defaults.secrets:
        assert set(secret.env) <= made[secret.name]


def test_the_secrets_are_those_that_serving_takes() -> None:
    mounted = {
        volume["secret"]["secretName"]
        for each in documents("base")
        if each["kind"] in ("Deployment", "StatefulSet")
        for volume in each["spec"]["template"]["spec"].get("volumes", [])
        if "secret" in volume
    }
    assert mounted == {"winnow-store", "winnow-keys"}
    assert mounted <= made_secrets().keys()


def test_the_config_map_is_the_one_that_the_stream_tier_takes() -> None:
    made = re.findall(r"create configmap (\S+) --from-file=(\S+?)=(\S+)", PAGE)
    pod = named("Deployment", "components/stream")["winnow-stream"]["spec"]["template"]["spec"]
    [name] = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
    [(file, source)] = [(file, source) for each, file, source in made if each == name]
    assert f"--config=/etc/winnow/{file}" in pod["containers"][0]["args"]
    load_config(ROOT / source)


def test_the_pipeline_runs_as_an_account_that_there_is(settings: KubeflowSettings) -> None:
    assert settings.service_account in named("ServiceAccount", "base")


def test_releases_are_published_where_serving_reads_them(settings: KubeflowSettings) -> None:
    claims = named("PersistentVolumeClaim", "base")
    for node in READING_RELEASES:
        [volume] = settings.node(node).volumes
        assert volume.claim in claims
        assert volume.mount == settings.releases
    [mount] = [
        mount["mountPath"]
        for mount in named("Deployment", "base")["winnow-models"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if mount["name"] == "releases"
    ]
    assert mount == settings.releases


def test_workers_and_chief_name_each_other_alike() -> None:
    trainer = named("StatefulSet", "components/training")["winnow-trainer"]
    [container] = trainer["spec"]["template"]["spec"]["containers"]
    [text] = [each["value"] for each in container["env"] if each["name"] == "TF_CONFIG"]
    workers = [f"winnow-trainer-{index}.winnow-trainer:2222" for index in range(trainer["spec"]["replicas"])]
    asked = TrainingWorkers(workers=tuple(workers), shared=container["volumeMounts"][0]["mountPath"])
    assert json.loads(text.replace("$(INDEX)", "0"))["cluster"] == json.loads(asked.tf_config)["cluster"]
    services = named("Service", "components/training")
    assert services["winnow-trainer-chief"]["spec"]["selector"] == CHIEF_LABEL
    assert trainer["spec"]["serviceName"] in services
    assert f"workers: [{workers[0]}]" in (ROOT / "infra" / "config" / "kubeflow.yaml").read_text()
