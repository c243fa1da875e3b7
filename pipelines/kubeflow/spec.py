"""From the PipelineSpec that TFX compiles to one that open-source Kubeflow Pipelines 2 runs.

Each function takes a spec as a dictionary, as it stands in YAML, and returns a changed copy.
"""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from components.errors import ConfigError

Spec = dict[str, Any]
EXECUTOR_SUFFIX = "_executor"
INPUTS_ARGUMENT = "--json_serialized_inputs_spec_args"
DAG = "pipeline"
ARGO_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,62}")


def executor_of(node: str) -> str:
    return node + EXECUTOR_SUFFIX


def with_real_producers(spec: Spec) -> Spec:
    """Values that one node hands to another: TFX names their producer ``X_task``, where the task is ``X``, and takes all of
    them for strings."""
    spec = deepcopy(spec)
    for name, task in _tasks(spec).items():
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            if value := source.get("taskOutputParameter"):
                producer = value["producerTask"].removesuffix("_task")
                value["producerTask"] = producer
                made = spec["components"][producer]["outputDefinitions"]["parameters"][value["outputParameterKey"]]
                spec["components"][name]["inputDefinitions"]["parameters"][key]["parameterType"] = made["parameterType"]
    return spec


def with_run_parameters(spec: Spec, defaults: Mapping[str, str]) -> Spec:
    """Parameters that a run may set, handed to every node; TFX's own kind loses its default when it is compiled."""
    spec = deepcopy(spec)
    for name, default in defaults.items():
        definition = {"parameterType": "STRING", "defaultValue": default, "isOptional": True}
        _parameters(spec["root"])[name] = definition
        for node, task in _tasks(spec).items():
            _parameters(spec["components"][node])[name] = deepcopy(definition)
            task.setdefault("inputs", {}).setdefault("parameters", {})[name] = {"componentInputParameter": name}
    return spec


def with_inputs_in_arguments(spec: Spec) -> Spec:
    """The inputs' definitions among each container's arguments, as they are now."""
    spec = deepcopy(spec)
    for node in _tasks(spec):
        arguments = _container(spec, node)["args"]
        definitions = spec["components"][node].get("inputDefinitions", {})
        arguments[arguments.index(INPUTS_ARGUMENT) + 1] = json.dumps(definitions, sort_keys=True, separators=(",", ":"))
    return spec


def with_caching(spec: Spec, cached: Callable[[str], bool]) -> Spec:
    return _each_task(spec, lambda node, task: {**task, "cachingOptions": {"enableCache": True} if cached(node) else {}})


def with_retries(spec: Spec, policy: Callable[[str], Mapping[str, Any] | None]) -> Spec:
    """``policy`` gives a node's retryPolicy, or None."""
    return _each_task(spec, lambda node, task: {**task, **({"retryPolicy": found} if (found := policy(node)) else {})})


def with_containers(spec: Spec, settings: Callable[[str], Mapping[str, Any]]) -> Spec:
    """``settings`` gives what a node's container has beside command and arguments: image, resources, env."""
    spec = deepcopy(spec)
    for label, executor in spec["deploymentSpec"]["executors"].items():
        executor["container"].update(settings(label.removesuffix(EXECUTOR_SUFFIX)))
    return spec


def with_exit_handler(spec: Spec, name: str, container: Mapping[str, Any]) -> Spec:
    """All nodes in a DAG of their own, and a task after it that runs however the DAG ends and is told how.

    This is the shape that kfp's own ``dsl.ExitHandler`` compiles to; TFX's declares the status as a string, but open-source
    Kubeflow Pipelines hands over a structure.
    """
    spec = deepcopy(spec)
    parameters = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    spec["components"][DAG] = {"dag": spec["root"]["dag"], "inputDefinitions": {"parameters": deepcopy(parameters)}}
    spec["components"][name] = {
        "executorLabel": executor_of(name),
        "inputDefinitions": {"parameters": {"status": {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}}},
    }
    spec["deploymentSpec"]["executors"][executor_of(name)] = {"container": dict(container)}
    spec["root"]["dag"] = {
        "tasks": {
            DAG: {
                "componentRef": {"name": DAG},
                "taskInfo": {"name": DAG},
                "inputs": {"parameters": {each: {"componentInputParameter": each} for each in parameters}},
            },
            name: {
                "componentRef": {"name": name},
                "taskInfo": {"name": name},
                "dependentTasks": [DAG],
                "inputs": {"parameters": {"status": {"taskFinalStatus": {"producerTask": DAG}}}},
                "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
            },
        }
    }
    return spec


def check_names(spec: Spec) -> None:
    """
    Raises:
      ConfigError: Argo, which runs the nodes, would refuse a name.
    """
    for name in _tasks(spec):
        if not ARGO_NAME.fullmatch(name):
            raise ConfigError(f"the node {name!r} cannot run on Kubeflow: wanted letters, digits and dashes, a letter first")


def _tasks(spec: Spec) -> dict[str, Any]:
    return spec["root"]["dag"]["tasks"]


def _each_task(spec: Spec, change: Callable[[str, Spec], Spec]) -> Spec:
    spec = deepcopy(spec)
    tasks = _tasks(spec)
    for node in tasks:
        tasks[node] = change(node, tasks[node])
    return spec


def _parameters(component: Spec) -> dict[str, Any]:
    return component.setdefault("inputDefinitions", {}).setdefault("parameters", {})


def _container(spec: Spec, node: str) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"][executor_of(node)]["container"]
