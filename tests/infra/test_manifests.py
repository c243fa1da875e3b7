"""The manifests keep the rules, and each rule can be broken."""

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from components.config import load_settings
from pipelines.beam_profiles import ClusterBeam, load_beam
from pipelines.cli import app
from serving.gateway.command_line import _parser as gateway_flags
from serving.gateway.settings import GatewaySettings
from serving.log_writer.command_line import _parser as writer_flags

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "infra" / "k8s"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_manifests", ROOT / "infra" / "scripts" / "check_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def production(checks: ModuleType) -> dict[tuple[str, str], Document]:
    return overlay(checks, "production")


def overlay(checks: ModuleType, name: str) -> dict[tuple[str, str], Document]:
    builder = checks.kustomize()
    if builder is None:
        pytest.skip("neither kustomize nor kubectl is installed")
    return {(each["kind"], each["metadata"]["name"]): each for each in checks.built(builder, K8S / "overlays" / name)}


def gateway() -> Document:
    documents = yaml.safe_load_all((K8S / "base" / "gateway.yaml").read_text())
    return next(document for document in documents if document["kind"] == "Deployment")


def test_the_manifests_keep_all_rules(checks: ModuleType) -> None:
    assert checks.main([]) == 0


def put(key: str, value: Any) -> Callable[[Document], None]:
    """Set a key, given by its path in the gateway's pod, whose container is ``C``."""

    def change(pod: Document) -> None:
        *path, last = key.split(".")
        at: Any = pod
        for part in path:
            at = at["containers"][0] if part == "C" else at[part]
        at[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put("C.image", "winnow-serving"), "image winnow-serving is not pinned"),
        (put("C.image", "registry:5000/winnow-serving:latest"), "is not pinned"),
        (put("C.resources", {"requests": {"cpu": "1"}}), "resources.requests names no memory"),
        (put("C.resources", {"requests": {"cpu": "1"}}), "resources.limits names no cpu and no memory"),
        (put("C.securityContext.privileged", True), "may gain rights"),
        (put("C.securityContext.allowPrivilegeEscalation", True), "may gain rights"),
        (put("C.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}), "has the capabilities"),
        (put("C.securityContext.readOnlyRootFilesystem", False), "writes to its root file system"),
        (put("C.env", [{"name": "WINNOW_ADMIN_KEY", "value": "k"}]), "WINNOW_ADMIN_KEY holds a secret in clear"),
        (put("securityContext.runAsUser", 0), "runs as user 0"),
        (put("securityContext.runAsNonRoot", False), "runs as user 10001"),
        (put("securityContext.seccompProfile", {}), "seccompProfile.type RuntimeDefault"),
        (put("serviceAccountName", "default"), "has the service account default"),
        (put("automountServiceAccountToken", True), "is given a token"),
        (put("hostNetwork", True), "shares hostNetwork with its node"),
        (put("volumes", [{"name": "disk", "hostPath": {"path": "/"}}]), "volume disk is a folder of its node"),
    ],
)
def test_a_broken_rule_is_told(checks: ModuleType, change: Callable[[Document], None], problem: str) -> None:
    deployment = gateway()
    assert checks.against_policy(deployment) == []
    change(deployment["spec"]["template"]["spec"])
    assert any(problem in found for found in checks.against_policy(deployment))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"kind": "Secret"}, "a Secret stands in the repository"),
        ({"kind": "ClusterRole"}, "a right in the whole cluster"),
        ({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}]}, "a right to everything"),
    ],
)
def test_secrets_and_wide_rights_are_refused(checks: ModuleType, document: Document, problem: str) -> None:
    assert [problem in found for found in checks.against_policy(document)] == [True]


def test_a_pod_that_operators_make_is_looked_into(checks: ModuleType) -> None:
    [flink] = [
        document
        for document in yaml.safe_load_all((K8S / "components" / "flink" / "flink.yaml").read_text())
        if document["kind"] == "FlinkDeployment"
    ]
    assert checks.against_policy(flink) == []
    worse = copy.deepcopy(flink)
    worse["spec"]["image"] = "flink:latest"
    del worse["spec"]["taskManager"]["podTemplate"]["spec"]["containers"][0]["resources"]
    problems = checks.against_policy(worse)
    assert sum("flink-main-container: image flink:latest" in problem for problem in problems) == 2  # job and task manager
    assert sum("beam-workers: resources" in problem for problem in problems) == 2  # requests and limits


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda spec: spec.update(replicas="two"), "replicas"),
        (lambda spec: spec.update(replica=2), "'replica' was unexpected"),
    ],
)
def test_what_kubernetes_would_refuse_is_told(checks: ModuleType, change: Callable[[Document], None], problem: str) -> None:
    deployment = gateway()
    assert checks.against_kubernetes(deployment) == []
    change(deployment["spec"])
    [found] = checks.against_kubernetes(deployment)
    assert problem in found


def test_an_operators_kind_is_held_against_its_own_schema(checks: ModuleType, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    crd = {
        "spec": {
            "group": "example.org",
            "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        }
    }
    (tmp_path / "things.yaml").write_text(yaml.safe_dump(crd))
    thing = checks.custom_schemas(tmp_path)["example.org/v1", "Thing"]
    document = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"size": 1}}
    assert checks.against(thing, document) == []
    assert len(checks.against(thing, {**document, "spec": {"size": "large"}})) == 1
    assert len(checks.against(thing, {**document, "spec": {"syze": 1}})) == 1


def test_the_local_overlay_is_of_one_of_each(checks: ModuleType) -> None:
    local = overlay(checks, "local")
    assert not {kind for kind, _ in local} & {"HorizontalPodAutoscaler", "PodDisruptionBudget", "FlinkDeployment"}
    assert {document["spec"].get("replicas", 1) for (kind, _), document in local.items() if kind == "Deployment"} == {1}


def test_production_names_its_registry_in_every_image_of_ours(production: dict[tuple[str, str], Document]) -> None:
    text = yaml.safe_dump(list(production.values()))
    images = {line.split("image: ")[1] for line in text.splitlines() if "image: " in line}
    assert {image for image in images if "winnow" in image} == {
        "registry.example.com/winnow-serving:0.1.0",
        "registry.example.com/winnow-pipeline:0.1.0",
    }


def test_under_kserve_the_gateway_asks_the_inference_service(checks: ModuleType) -> None:
    kserve = overlay(checks, "production-kserve")
    assert ("Deployment", "winnow-models") not in kserve
    [container] = kserve["Deployment", "winnow-gateway"]["spec"]["template"]["spec"]["containers"]
    assert "--model_server=winnow-models-predictor:8500" in container["args"]
    service = kserve["InferenceService", "winnow-models"]["spec"]["predictor"]
    [config] = [volume["configMap"]["name"] for volume in service["volumes"] if "configMap" in volume]
    assert ("ConfigMap", config) in kserve  # by the name that kustomize has given it


def test_who_may_talk_to_whom(production: dict[tuple[str, str], Document]) -> None:
    policies = {name: document["spec"] for (kind, name), document in production.items() if kind == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {
        name: document["spec"]["template"]["metadata"]["labels"]
        for (kind, name), document in production.items()
        if kind in ("Deployment", "StatefulSet")
    }
    for name in labels:  # each workload has a policy of its own, which its pods' labels fit
        [wanted] = policies[name]["podSelector"]["matchLabels"].items()
        assert wanted in labels[name].items()
    assert "egress" not in policies["winnow-models"]  # the models call nobody
    assert "egress" not in policies["winnow-store"]


def test_our_commands_know_their_flags(production: dict[tuple[str, str], Document]) -> None:
    for name, module, parser in (
        ("winnow-gateway", "serving.gateway", gateway_flags()),
        ("winnow-log-writer", "serving.log_writer", writer_flags()),
    ):
        [container] = production["Deployment", name]["spec"]["template"]["spec"]["containers"]
        found, *flags = container["args"]
        assert found == module
        assert parser.parse_args(flags).store_url == "redis://winnow-store:6379/0"
        if "--settings=/etc/winnow/settings.yaml" in flags:
            load_settings(K8S / "base" / "settings.yaml", GatewaySettings, "the gateway's settings")


def test_the_stream_tier_knows_its_flags_and_its_beam_profile(
    checks: ModuleType, production: dict[tuple[str, str], Document], tmp_path: Path
) -> None:
    stream = typer.main.get_command(app).commands["stream"]  # type: ignore[attr-defined]  a group of commands
    on_flink: Document = {}
    for documents in (overlay(checks, "local"), production):
        pod = documents["Deployment", "winnow-stream"]["spec"]["template"]["spec"]
        [container] = pod["containers"]
        command, *flags = container["args"]
        assert command == "stream"
        asked = stream.make_context("stream", flags).params
        config_maps = {each["name"]: each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each}
        mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        assert config_maps[mounted[str(asked["config"].parent)]] == "winnow-config"
        assert {str(asked["workdir"] / each) for each in ("online-log", "stream")} <= mounted.keys()
        if asked["beam"] is not None:
            on_flink = documents["ConfigMap", config_maps[mounted[str(asked["beam"].parent)]]]
    profile_file = tmp_path / "beam.yaml"
    profile_file.write_text(on_flink["data"]["beam.yaml"])
    profile = load_beam(profile_file)
    assert isinstance(profile, ClusterBeam)
    profile.check_place(Path("/var/winnow"), "--workdir")
    name, port = profile.job_server.split(":")
    assert int(port) in {each["port"] for each in production["Service", name]["spec"]["ports"]}
    flink = production["FlinkDeployment", "winnow-flink"]["spec"]
    [workers] = flink["taskManager"]["podTemplate"]["spec"]["containers"]
    assert profile.worker_pool == f"localhost:{workers['ports'][0]['containerPort']}"
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in flink["podTemplate"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    of_workers = {mount["mountPath"]: claims.get(mount["name"]) for mount in workers["volumeMounts"]}
    assert of_workers["/var/winnow/online-log"] == "winnow-online-log"
    assert of_workers["/var/winnow/stream"] == "winnow-stream"


def test_releases_lie_under_one_path_everywhere(production: dict[tuple[str, str], Document]) -> None:
    """models.config names the models by the path that the publisher saw."""
    mounts = [
        (mount["mountPath"], mount.get("readOnly"))
        for name in ("winnow-models", "winnow-gateway")
        for container in production["Deployment", name]["spec"]["template"]["spec"]["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "releases"
    ]
    assert mounts == [("/var/winnow/releases", True)] * 2
