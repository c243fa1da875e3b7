"""The whole compiled file: golden, reproducible, and taken by kfp's own readers."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl
from kfp.components import load_component_from_file
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.config import parse_config
from components.errors import ConfigError
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.settings import EXIT_HANDLER, KubeflowSettings, load_kubeflow
from pipelines.nodes import LOOKING_UP, NODES
from tests.pipelines.kubeflow.conftest import read

ROOT = Path(__file__).resolve().parents[3]
CONFIG, KUBEFLOW = ROOT / "infra" / "config" / "movielens-100k.yaml", ROOT / "infra" / "config" / "kubeflow.yaml"
GOLDEN = ROOT / "tests" / "golden" / "movielens-100k.pipeline.yaml"


@pytest.fixture(scope="module")
def compiled() -> str:
    return compile_pipeline(read(CONFIG), load_kubeflow(KUBEFLOW))


@pytest.fixture(scope="module")
def documents(compiled: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec, platform = yaml.safe_load_all(compiled)
    return spec, platform


def test_it_is_the_golden_file(compiled: str) -> None:
    """After a change that is meant: `winnow compile --output tests/golden/movielens-100k.pipeline.yaml`, and read the diff."""
    assert compiled == GOLDEN.read_text()


def test_it_is_the_same_in_other_processes(compiled: str, tmp_path: Path) -> None:
    output = tmp_path / "pipeline.yaml"
    command = ["-m", "pipelines.cli", "compile", "--config", str(CONFIG), "--kubeflow", str(KUBEFLOW), "--output", str(output)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, *command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert output.read_text() == compiled
    said = json.loads(ended.stdout)
    assert said["sha256"] == hashlib.sha256(compiled.encode()).hexdigest()
    assert (said["pipeline"], said["nodes"], said["parameters"]) == ("movielens-100k", 17, ["overrides", "span"])
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]


def test_the_backends_parser_takes_it(documents: Any) -> None:
    spec, platform = documents
    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert parsed.schema_version == "2.1.0"
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(spec["deploymentSpec"]["executors"])
    for executor in executors.values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_kfp_loads_it_as_a_component(compiled: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(compiled)
    loaded = load_component_from_file(str(file))
    assert {name: each.default for name, each in loaded.component_spec.inputs.items()} == {"overrides": "{}", "span": ""}

    @dsl.pipeline(name="outer")
    def outer() -> None:
        loaded(span="2026-01-01..")


def test_every_node_is_there_and_waits_for_no_stranger(documents: Any) -> None:
    spec, _ = documents
    tasks = spec["components"]["pipeline"]["dag"]["tasks"]
    assert set(tasks) == set(NODES)
    for task in tasks.values():
        assert set(task.get("dependentTasks", [])) <= set(NODES)
    assert set(spec["root"]["dag"]["tasks"]) == {"pipeline", EXIT_HANDLER}


def test_nothing_of_this_machine_is_in_it(compiled: str) -> None:
    assert str(ROOT) not in compiled
    assert str(Path.home()) + "/" not in compiled


def test_what_looks_outside_is_never_cached(documents: Any) -> None:
    tasks = documents[0]["components"]["pipeline"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task["cachingOptions"].get("enableCache")}
    assert cached == set(NODES) - set(LOOKING_UP)


def test_what_one_node_needs_it_alone_gets(documents: Any) -> None:
    spec, platform = documents
    containers = {label: each["container"] for label, each in spec["deploymentSpec"]["executors"].items()}
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    training = ("RetrievalTrainer_executor", "RankingTrainer_executor")
    for label, container in containers.items():
        accelerator = container["resources"].get("accelerator")
        assert accelerator == ({"resourceType": "nvidia.com/gpu", "resourceCount": "1"} if label in training else None)
        assert pods[label].get("nodeSelector") == ({"labels": {"accelerator": "nvidia"}} if label in training else None)
        environment = {each["name"] for each in container["env"]}
        assert environment == {"AWS_ENDPOINT_URL", "AWS_REGION"}
    assert pods["RankingTrainer_executor"]["activeDeadlineSeconds"] == str(12 * 3600)
    pushing = spec["components"]["pipeline"]["dag"]["tasks"]["Pusher"]["retryPolicy"]
    assert pushing == {
        "maxRetryCount": 5, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s",
    }  # fmt: skip
    webhooks = [label for label, each in pods.items() if "winnow-webhook" in str(each)]
    assert webhooks == [f"{EXIT_HANDLER}_executor"]


def test_an_absolute_path_of_data_in_a_bucket_is_refused(settings: KubeflowSettings) -> None:
    config = read(CONFIG)
    moved = config.model_copy(update={"dataset": config.dataset.resolved(ROOT)})
    with pytest.raises(ConfigError, match=r"dataset\.events\.path: found /.*, wanted a relative path inside the bucket"):
        compile_pipeline(moved, settings)


def test_default_overrides_that_the_config_does_not_take_are_refused() -> None:
    settings = load_kubeflow(KUBEFLOW)
    parameters = settings.parameters.model_copy(update={"overrides": {"ranking": {"epochs": 0}}})
    with pytest.raises(ConfigError, match=r"ranking\.epochs: found 0"):
        compile_pipeline(read(CONFIG), settings.model_copy(update={"parameters": parameters}))


@pytest.mark.parametrize(
    ("changes", "config_changes", "said"),
    [
        ({}, {"retrieval": {"distribute": "multi_worker"}}, r"retrieval\.distribute: found multi_worker, but no `training`"),
        (
            {"training": {"workers": ["w:2222"], "shared": "/mnt/winnow"}},
            {},
            r"training\.shared: found /mnt/winnow, where RetrievalTrainer mounts no volume; .* under nodes\.RetrievalTrainer",
        ),
        ({"checkpoints": "/var/kept"}, {}, r"checkpoints: found /var/kept, where RetrievalTrainer mounts no volume"),
        ({"registry": "/var/releases"}, {}, r"registry: found /var/releases, where LastRelease mounts no volume"),
        (
            {"beam": {"profile": "flink", "job_server": "j:1", "worker_pool": "p:1", "shared": "/mnt/winnow"}},
            {},
            r"beam\.shared: found /mnt/winnow, where Ingest mounts no volume",
        ),
    ],
)
def test_what_nodes_do_not_share_is_refused(changes: dict, config_changes: dict, said: str, settings: KubeflowSettings) -> None:
    config = parse_config(json.dumps({**json.loads(read(CONFIG).model_dump_json()), **config_changes}), origin="test")
    reached = {"sources": "s3://winnow/infra/config"}  # from where the config's ../../var/data stays inside the bucket
    asked = KubeflowSettings.model_validate({**settings.model_dump(exclude_unset=True), **reached, **changes})
    with pytest.raises(ConfigError, match=said):
        compile_pipeline(config, asked)


def test_a_search_for_settings_comes_before_its_trainer(settings: KubeflowSettings) -> None:
    searched = {"max_trials": 4, "retrieval": {"dropout": {"min": 0.0, "max": 0.5}}}
    config = parse_config(json.dumps({**json.loads(read(CONFIG).model_dump_json()), "tuning": searched}), origin="test")
    asked = settings.model_copy(update={"sources": "s3://winnow/infra/config"})
    spec, platform = yaml.safe_load_all(compile_pipeline(config, asked))
    tasks = spec["components"]["pipeline"]["dag"]["tasks"]
    assert set(tasks) == {*NODES, "RetrievalTuner"}
    found = tasks["RetrievalTrainer"]["inputs"]["artifacts"]["hyperparameters"]["taskOutputArtifact"]
    assert found == {"producerTask": "RetrievalTuner", "outputArtifactKey": "best_hyperparameters"}
    assert "RetrievalTuner_executor" in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
