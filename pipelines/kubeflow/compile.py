"""Compile the DAG for open-source Kubeflow Pipelines 2: the pipeline's spec and the Kubernetes platform's, in one YAML file."""

import json
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig

from components.config import PipelineConfig
from components.errors import ConfigError
from components.ingest.sources import TABLES, uri_of
from components.storage.object_store import is_uri
from pipelines.beam_profiles import LocalBeam
from pipelines.kubeflow import spec as specs
from pipelines.kubeflow.node_spec import container, pod, retry_policy
from pipelines.kubeflow.parameters import OVERRIDES, SPAN, overridden, patch_of
from pipelines.kubeflow.settings import EXIT_HANDLER, TRAINERS, KubeflowSettings
from pipelines.nodes import LOOKING_UP, READING_RELEASES, TUNERS, nodes_of
from pipelines.recommender import Known, Places, create_pipeline

ENTRYPOINT = ["python", "-m", "pipelines.kubeflow.entrypoint"]
EXIT_ENTRYPOINT = ["python", "-m", "pipelines.kubeflow.exit_handler"]
HEADER = "# Compiled by `winnow compile`: change the config and compile again, not this file.\n"


def compile_pipeline(config: PipelineConfig, settings: KubeflowSettings) -> str:
    """The YAML that Kubeflow Pipelines takes: the same bytes for the same config and settings.

    Args:
      config: its data paths as they are written, relative ones counting from ``settings.sources``.

    Raises:
      ConfigError: something in the config cannot run there.
    """
    nodes = nodes_of(config)
    _check_paths(config, settings)
    _check_beam(settings, nodes)
    _check_training(config, settings)
    _check_registry(settings)
    _check_checkpoints(settings, nodes)
    overrides, span = json.dumps(settings.parameters.overrides, sort_keys=True), settings.parameters.span
    overridden({"config": config.model_dump_json()}, patch_of(overrides, span), "parameters")

    spec = _tfx_spec(config, settings)
    specs.check_names(spec)
    spec = specs.with_real_producers(spec)
    spec = specs.with_run_parameters(spec, {OVERRIDES: overrides, SPAN: span})
    spec = specs.with_inputs_in_arguments(spec)
    spec = specs.with_caching(spec, lambda node: settings.node(node).cache and node not in LOOKING_UP)
    spec = specs.with_retries(spec, lambda node: retry_policy(settings.node(node)))
    arguments = ["--executor_input", "{{$}}", "--pipeline", config.name]
    spec = specs.with_exit_handler(spec, EXIT_HANDLER, {"command": EXIT_ENTRYPOINT, "args": arguments})
    spec = specs.with_containers(spec, lambda node: container(node, settings))
    spec["defaultPipelineRoot"] = settings.pipeline_root  # TFX leaves it to whoever makes a run
    if config.description:
        spec["pipelineInfo"]["description"] = config.description
    executors = {specs.executor_of(node): pod(node, settings) for node in (*nodes, EXIT_HANDLER)}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    _check(spec, executors)
    return HEADER + yaml.safe_dump_all([spec, platform], sort_keys=True, width=120, allow_unicode=True)


def _tfx_spec(config: PipelineConfig, settings: KubeflowSettings) -> dict[str, Any]:
    places = Places(settings.pipeline_root, settings.releases, settings.checkpoints_place, None, settings.sources)
    pipeline = create_pipeline(config, places, Known(), settings.beam.arguments(), cache=False)
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(default_image=settings.image, default_commands=ENTRYPOINT, use_pipeline_spec_2_1=True)
    )
    return runner.run(pipeline, write_out=False)["pipelineSpec"]


def _check_beam(settings: KubeflowSettings, nodes: tuple[str, ...]) -> None:
    """A cluster's workers see nothing of a node's pod but the volume that both mount."""
    beam = settings.beam
    if isinstance(beam, LocalBeam):
        return
    if beam.worker_pool is None or beam.shared is None:
        raise ConfigError(
            "beam: found no worker_pool or no shared folder, wanted both: the workers of a cluster run in its own pods, and "
            "share nothing with a node's but a ReadWriteMany volume that both mount"
        )
    for node in nodes:
        _check_mounted(settings, node, beam.shared, "beam.shared")


def _check_training(config: PipelineConfig, settings: KubeflowSettings) -> None:
    """Those who train together must be named, and see the same artifacts."""
    for node, section in TRAINERS.items():
        if getattr(config, section).distribute == "multi_worker" and settings.training is None:
            raise ConfigError(
                f"{section}.distribute: found multi_worker, but no `training` in the cluster's settings, wanted the names of "
                "the workers there: training: {workers: [winnow-trainer-0.winnow-trainer:2222], shared: /mnt/winnow}"
            )
        if settings.training is not None:
            _check_mounted(settings, node, Path(settings.training.shared), "training.shared")


def _check_registry(settings: KubeflowSettings) -> None:
    """Releases in a folder: on a volume that every node has which reads or writes them."""
    if not is_uri(settings.releases):
        for node in READING_RELEASES:
            _check_mounted(settings, node, Path(settings.releases), "registry")


def _check_checkpoints(settings: KubeflowSettings, nodes: tuple[str, ...]) -> None:
    """In a folder: on a volume that the trainers have."""
    if not is_uri(settings.checkpoints_place):
        for node in (each for each in nodes if each in {*TRAINERS, *TUNERS}):
            _check_mounted(settings, node, Path(settings.checkpoints_place), "checkpoints")


def _check_mounted(settings: KubeflowSettings, node: str, folder: Path, key: str) -> None:
    if not any(folder.is_relative_to(volume.mount) for volume in settings.node(node).volumes):
        raise ConfigError(
            f"{key}: found {folder}, where {node} mounts no volume; wanted a claim there for it, under nodes.{node}.volumes or "
            "defaults.volumes"
        )


def _check_paths(config: PipelineConfig, settings: KubeflowSettings) -> None:
    if not is_uri(settings.sources):
        return
    for name in TABLES:
        if (table := getattr(config.dataset, name)) is not None:
            uri_of(table.path, settings.sources, f"dataset.{name}")


def _check(spec: dict[str, Any], executors: dict[str, Any]) -> None:
    """Parse both documents as the backend does, which takes no key that it does not know."""
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    for executor in executors.values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
