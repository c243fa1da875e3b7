"""Runs a compiled pipeline the way Kubeflow Pipelines 2 does, without a cluster: the YAML itself, node by node.

What its driver and launcher do is done here, from the protocol that they keep to: the driver resolves a task's inputs,
gives each output a place below the pipeline root and adds ``executor-logs``; the launcher downloads the inputs, fills in
``{{$}}``, runs the container's command, and uploads the outputs only once that has ended well. An artifact comes back as the
backend gives it: named by a number, its type left empty, what its producer noted of it among the metadata. A task that fails
is tried again as its retry policy says, in a fresh file system. Pauses, caching, images and Kubernetes are left out.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.storage.object_store import ObjectStore
from pipelines.kubeflow.entrypoint import ROOT_ENV, local_path
from tests.pipelines.kubeflow.container import start_container

SUCCEEDED, FAILED, SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"
LOGS = "executor-logs"
TIMEOUT_S = 900  # of one attempt


@dataclass(frozen=True)
class Attempt:
    """One start of a node's container.

    Attributes:
      number: from 1; command: the whole command line; environment: may be added to before the start.
      root: what stands for the root of the container's file system.
    """

    node: str
    number: int
    command: Sequence[str]
    environment: dict[str, str]
    root: Path


@dataclass
class TaskResult:
    """How a task ended, and what it put out as those after it are given it."""

    state: str
    attempts: int = 0
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    log: str = ""


class Launcher:
    """
    Args:
      pipeline: text of the compiled YAML.
      root: the pipeline root, a URI of an object store.
      folder: for the nodes' file systems.
      before: called before each attempt; started: called with its process as soon as there is one.
    """

    def __init__(
        self,
        pipeline: str,
        root: str,
        folder: Path,
        run_id: str,
        before: Callable[[Attempt], None] = lambda attempt: None,
        started: Callable[[Attempt, BaseProcess], None] = lambda attempt, process: None,
    ) -> None:
        spec, self.platform = yaml.safe_load_all(pipeline)
        # Nothing but what the backend's own parser lets through, and by its defaults.
        self._spec = json_format.MessageToDict(json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()))
        self._store_root = f"{root}/{spec['pipelineInfo']['name']}/{run_id}"
        self.folder, self._run_id = folder, run_id
        self._before, self._started = before, started
        self._artifact_count = 0
        self.results: dict[str, TaskResult] = {}

    def run(self, parameters: Mapping[str, Any] | None = None) -> str:
        """Run all tasks; the state of the whole, which an exit handler does not change."""
        declared = self._spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = {name: each.get("defaultValue") for name, each in declared.items()} | dict(parameters or {})
        missing = [name for name, value in given.items() if value is None]
        assert not missing, f"run parameters without a value: {missing}"
        return self._run_dag(self._spec["root"]["dag"], given)

    def _run_dag(self, dag: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
        tasks = dag["tasks"]
        waits_for = {name: {*task.get("dependentTasks", []), *_producers(task)} for name, task in tasks.items()}
        results: dict[str, TaskResult] = {}
        for name in TopologicalSorter(waits_for).static_order():
            task = tasks[name]
            at_any_rate = task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
            if not at_any_rate and any(results[each].state != SUCCEEDED for each in waits_for[name]):
                results[name] = TaskResult(SKIPPED)
            else:
                results[name] = self._run_task(name, task, parameters, results)
            self.results[name] = results[name]
        judged = [
            result.state for name, result in results.items()
            if tasks[name].get("triggerPolicy", {}).get("strategy") != "ALL_UPSTREAM_TASKS_COMPLETED"
        ]  # fmt: skip
        return SUCCEEDED if all(state == SUCCEEDED for state in judged) else FAILED

    def _run_task(
        self, name: str, task: Mapping[str, Any], parameters: Mapping[str, Any], results: Mapping[str, TaskResult]
    ) -> TaskResult:
        component = self._spec["components"][task["componentRef"]["name"]]
        values = self._resolved(task, component, parameters, results)
        if "dag" in component:
            return TaskResult(self._run_dag(component["dag"], values))
        inputs = {
            key: results[source["taskOutputArtifact"]["producerTask"]].artifacts[
                source["taskOutputArtifact"]["outputArtifactKey"]
            ]
            for key, source in task.get("inputs", {}).get("artifacts", {}).items()
        }
        outputs = component.get("outputDefinitions", {})
        container = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
        result = TaskResult(FAILED)
        for number in range(1, attempts + 1):
            pod = self.folder / name  # the same place each time, as in a pod, and empty
            shutil.rmtree(pod, ignore_errors=True)
            message = self._executor_input(name, values, inputs, outputs, pod)
            result = self._attempt(name, number, container, message, outputs, pod)
            if result.state == SUCCEEDED:
                break
        return result

    def _resolved(
        self,
        task: Mapping[str, Any],
        component: Mapping[str, Any],
        parameters: Mapping[str, Any],
        results: Mapping[str, TaskResult],
    ) -> dict[str, Any]:
        """The values of a task's parameters, of the types that its component declares."""
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        values: dict[str, Any] = {}
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            if "componentInputParameter" in source:
                value = parameters[source["componentInputParameter"]]
            elif "taskOutputParameter" in source:
                output = source["taskOutputParameter"]
                value = results[output["producerTask"]].parameters[output["outputParameterKey"]]
            elif "taskFinalStatus" in source:
                producer = source["taskFinalStatus"]["producerTask"]
                value = {
                    "state": results[producer].state,
                    "pipelineTaskName": producer,
                    "pipelineJobResourceName": self._run_id,
                    "error": {},
                }
            else:
                value = source["runtimeValue"]["constant"]
            if declared[key]["parameterType"] == "STRING" and not isinstance(value, str):
                value = json.dumps(value)
            values[key] = value
        return values

    def _executor_input(
        self, name: str, values: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, Any], pod: Path
    ) -> dict[str, Any]:
        artifacts = {key: each["artifactType"] for key, each in outputs.get("artifacts", {}).items()}
        artifacts[LOGS] = {"schemaTitle": "system.Artifact"}
        return {
            "inputs": {
                "parameterValues": dict(values),
                "artifacts": {key: {"artifacts": [deepcopy(artifact)]} for key, artifact in inputs.items()},
            },
            "outputs": {
                "artifacts": {
                    key: {"artifacts": [{"uri": f"{self._store_root}/{name}/{key}", "type": kind, "metadata": {}}]}
                    for key, kind in artifacts.items()
                },
                "parameters": {
                    key: {"outputFile": str(pod / "tmp" / "kfp" / "outputs" / key)} for key in outputs.get("parameters", {})
                },
                "outputFile": str(pod / "tmp" / "kfp_outputs" / "output_metadata.json"),
            },
        }

    def _attempt(
        self,
        name: str,
        number: int,
        container: Mapping[str, Any],
        message: dict[str, Any],
        outputs: Mapping[str, Any],
        pod: Path,
    ) -> TaskResult:
        for key, each in message["inputs"]["artifacts"].items():
            _download(each["artifacts"][0]["uri"], pod, key)
        for each in message["outputs"]["artifacts"].values():
            Path(local_path(each["artifacts"][0]["uri"], pod)).parent.mkdir(parents=True, exist_ok=True)
        for path in (
            message["outputs"]["outputFile"],
            *(each["outputFile"] for each in message["outputs"]["parameters"].values()),
        ):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        filled = json.dumps(json_format.MessageToDict(json_format.ParseDict(message, pipeline_spec_pb2.ExecutorInput())))
        command = [each.replace("{{$}}", filled) for each in (*container["command"], *container.get("args", []))]
        environment = {
            **os.environ,
            **{each["name"]: each["value"] for each in container.get("env", [])},
            # The image's code, and what stands for the root of its file system.
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            ROOT_ENV: str(pod),
        }
        attempt = Attempt(name, number, command, environment, pod)
        self._before(attempt)
        log = Path(local_path(message["outputs"]["artifacts"][LOGS]["artifacts"][0]["uri"], pod))
        process = start_container(command, attempt.environment, pod, log)
        try:
            self._started(attempt, process)
            process.join(TIMEOUT_S)
        finally:
            process.kill()  # nothing, where it has ended
            process.join()
        text = log.read_text(errors="replace")
        if process.exitcode:
            return TaskResult(FAILED, number, log=text)
        output_file = Path(message["outputs"]["outputFile"])
        output = json_format.ParseDict(
            json.loads(output_file.read_text()) if output_file.exists() else {}, pipeline_spec_pb2.ExecutorOutput()
        )
        noted = json_format.MessageToDict(output)
        result = TaskResult(SUCCEEDED, number, log=text)
        for key, each in message["outputs"]["artifacts"].items():
            artifact = each["artifacts"][0]
            merged = noted.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            uri, metadata = merged.get("uri") or artifact["uri"], merged.get("metadata", {})
            assert None not in metadata.values(), f"{name}.{key}: the launcher takes no null metadata: {metadata}"
            _upload(uri, pod)
            self._artifact_count += 1
            result.artifacts[key] = {
                "name": str(self._artifact_count),
                "uri": uri,
                "type": {"instanceSchema": ""},
                "metadata": {**metadata, "display_name": key, "store_session_info": "{}"},
            }
        for key in outputs.get("parameters", {}):
            result.parameters[key] = noted["parameterValues"][key]
        shutil.rmtree(pod)
        return result


def _producers(task: Mapping[str, Any]) -> set[str]:
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    kinds = ("taskOutputArtifact", "taskOutputParameter", "taskFinalStatus")
    return {source[kind]["producerTask"] for source in sources for kind in kinds if kind in source}


def _download(uri: str, pod: Path, key: str) -> None:
    parent, leaf = uri.rsplit("/", 1)
    store, folder = ObjectStore(parent), Path(local_path(uri, pod))
    single = store.read(leaf)
    if single is not None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_bytes(single)
        return
    found = store.files(leaf)
    assert found, f"the input artifact {key} has no files at {uri}"
    for each in found:
        store.download(f"{leaf}/{each.name}", folder / each.name)


def _upload(uri: str, pod: Path) -> None:
    path = Path(local_path(uri, pod))
    parent, leaf = uri.rsplit("/", 1)
    store = ObjectStore(parent)
    if path.is_file():
        store.upload(path, leaf)
    elif path.is_dir():  # a node may leave an output out
        for file in sorted(each for each in path.rglob("*") if each.is_file()):
            store.upload(file, f"{leaf}/{file.relative_to(path).as_posix()}")
