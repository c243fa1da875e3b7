"""The steps from TFX's spec to one that runs on open-source Kubeflow Pipelines, on a spec of two nodes written by hand."""

import json
from copy import deepcopy
from typing import Any

import pytest

from components.errors import ConfigError
from pipelines.kubeflow import spec as specs


def node(executor: str, parameters: dict[str, str], outputs: dict[str, str]) -> dict[str, Any]:
    return {
        "executorLabel": executor,
        "inputDefinitions": {"parameters": {name: {"parameterType": kind} for name, kind in parameters.items()}},
        "outputDefinitions": {"parameters": {name: {"parameterType": kind} for name, kind in outputs.items()}},
    }


@pytest.fixture
def spec() -> dict[str, Any]:
    """``Look`` finds a version, ``Use`` takes it: as TFX compiles a value that is handed on."""
    arguments = ["--executor_class_path", "a.B", "--json_serialized_inputs_spec_args", "{}", "--runner=FnApiRunner"]
    given = {"runtimeValue": {"constant": "{}"}}
    taken = {"taskOutputParameter": {"producerTask": "Look_task", "outputParameterKey": "version"}}
    return {
        "components": {
            "Look": node("Look_executor", {"config": "STRING"}, {"version": "NUMBER_INTEGER"}),
            "Use": node("Use_executor", {"version": "STRING"}, {}),
        },
        "deploymentSpec": {
            "executors": {
                f"{name}_executor": {"container": {"image": "i:1", "args": list(arguments)}} for name in ("Look", "Use")
            }
        },
        "root": {
            "dag": {
                "tasks": {
                    "Look": {"taskInfo": {"name": "Look"}, "inputs": {"parameters": {"config": given}}},
                    "Use": {"taskInfo": {"name": "Use"}, "inputs": {"parameters": {"version": taken}}},
                }
            }
        },
    }  # fmt: skip


def test_a_value_handed_on_has_its_real_producer_and_type(spec: dict[str, Any]) -> None:
    before = deepcopy(spec)
    made = specs.with_real_producers(spec)
    source = made["root"]["dag"]["tasks"]["Use"]["inputs"]["parameters"]["version"]
    assert source == {"taskOutputParameter": {"producerTask": "Look", "outputParameterKey": "version"}}
    assert made["components"]["Use"]["inputDefinitions"]["parameters"]["version"] == {"parameterType": "NUMBER_INTEGER"}
    assert spec == before


def test_run_parameters_have_defaults_and_reach_every_node(spec: dict[str, Any]) -> None:
    made = specs.with_run_parameters(spec, {"span": "2026-01-01.."})
    wanted = {"parameterType": "STRING", "defaultValue": "2026-01-01..", "isOptional": True}
    assert made["root"]["inputDefinitions"]["parameters"] == {"span": wanted}
    for name in ("Look", "Use"):
        assert made["components"][name]["inputDefinitions"]["parameters"]["span"] == wanted
        assert made["root"]["dag"]["tasks"][name]["inputs"]["parameters"]["span"] == {"componentInputParameter": "span"}


def test_containers_are_told_of_their_inputs_as_they_are_now(spec: dict[str, Any]) -> None:
    made = specs.with_inputs_in_arguments(specs.with_run_parameters(spec, {"span": ""}))
    arguments = made["deploymentSpec"]["executors"]["Use_executor"]["container"]["args"]
    assert json.loads(arguments[3]) == made["components"]["Use"]["inputDefinitions"]
    assert arguments[:3] + arguments[4:] == ["--executor_class_path", "a.B", specs.INPUTS_ARGUMENT, "--runner=FnApiRunner"]


def test_caching_and_retries_are_a_nodes_own(spec: dict[str, Any]) -> None:
    made = specs.with_caching(spec, lambda name: name == "Use")
    made = specs.with_retries(made, lambda name: {"maxRetryCount": 3} if name == "Look" else None)
    look, use = (made["root"]["dag"]["tasks"][name] for name in ("Look", "Use"))
    assert (look["cachingOptions"], use["cachingOptions"]) == ({}, {"enableCache": True})
    assert look["retryPolicy"] == {"maxRetryCount": 3}
    assert "retryPolicy" not in use


def test_the_exit_handler_comes_after_all_and_is_never_cached(spec: dict[str, Any]) -> None:
    made = specs.with_exit_handler(specs.with_run_parameters(spec, {"span": ""}), "Bye", {"image": "i:1"})
    tasks = made["root"]["dag"]["tasks"]
    assert set(tasks) == {"pipeline", "Bye"}
    assert set(made["components"]["pipeline"]["dag"]["tasks"]) == {"Look", "Use"}
    assert made["components"]["pipeline"]["inputDefinitions"] == made["root"]["inputDefinitions"]
    assert tasks["pipeline"]["inputs"]["parameters"] == {"span": {"componentInputParameter": "span"}}
    assert tasks["Bye"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert tasks["Bye"]["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "pipeline"}}
    assert "cachingOptions" not in tasks["Bye"]


@pytest.mark.parametrize("name", ["my_node", "Node.v1", "1st", "n" * 64])
def test_names_that_argo_refuses_are_refused(spec: dict[str, Any], name: str) -> None:
    specs.check_names(spec)
    spec["root"]["dag"]["tasks"][name] = {}
    with pytest.raises(ConfigError, match="cannot run on Kubeflow: wanted letters, digits and dashes"):
        specs.check_names(spec)
