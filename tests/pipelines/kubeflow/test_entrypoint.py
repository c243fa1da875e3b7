"""Each cure alone, on the messages that the launcher and TFX exchange."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError
from components.schema import artifact_types
from pipelines.kubeflow import entrypoint

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


def message(**outputs: Any) -> dict[str, Any]:
    return {"inputs": {"artifacts": {}, "parameterValues": {}}, "outputs": {"artifacts": outputs, "outputFile": "output.json"}}


def artifact(uri: str, kind: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"artifacts": [{"uri": uri, **({"type": kind} if kind else {}), "metadata": metadata}]}


def test_the_launchers_own_logs_are_no_output_of_the_node() -> None:
    given = message(
        model=artifact("s3://b/m", MODEL), **{"executor-logs": artifact("s3://b/l", {"schemaTitle": "system.Artifact"})}
    )
    assert set(entrypoint.without_system_artifacts(given)["outputs"]["artifacts"]) == {"model"}
    assert set(given["outputs"]["artifacts"]) == {"model", "executor-logs"}  # the message itself is left as it was


@pytest.mark.parametrize("lost", [{"instanceSchema": ""}, {"schemaTitle": ""}, {}, None])
def test_an_input_without_a_type_has_the_declared_one(lost: dict[str, str] | None) -> None:
    given = message()
    given["inputs"]["artifacts"] = {"model": artifact("s3://b/m", lost)}
    cured = entrypoint.with_declared_types(given, {"artifacts": {"model": {"artifactType": MODEL}}})
    assert cured["inputs"]["artifacts"]["model"]["artifacts"][0]["type"] == MODEL


def test_an_input_with_a_type_keeps_it() -> None:
    given = message()
    given["inputs"]["artifacts"] = {"model": artifact("s3://b/m", MODEL)}
    cured = entrypoint.with_declared_types(given, {"artifacts": {"model": {"artifactType": {"schemaTitle": "tfx.Schema"}}}})
    assert cured == given


@pytest.mark.parametrize(
    "kind", [{"instanceSchema": "title: winnow.ItemIndex\ntype: object\n"}, {"schemaTitle": "winnow.ItemIndex"}]
)
def test_our_types_are_named_by_where_their_class_is(kind: dict[str, str]) -> None:
    cured = entrypoint.with_importable_types(message(index=artifact("s3://b/i", kind), model=artifact("s3://b/m", MODEL)))
    outputs = cured["outputs"]["artifacts"]
    module, _, name = outputs["index"]["artifacts"][0]["type"]["schemaTitle"].rpartition(".")
    assert module == artifact_types.__name__
    assert getattr(artifact_types, name) is artifact_types.ItemIndex
    assert outputs["model"]["artifacts"][0]["type"] == MODEL


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket/a/b", "/s3/bucket/a/b"),
        ("minio://mlpipeline/v2/x", "/minio/mlpipeline/v2/x"),
        ("gs://bucket/x", "/gcs/bucket/x"),
        ("/already/local", "/already/local"),
    ],
)
def test_uris_are_the_launchers_folders_and_back(uri: str, path: str) -> None:
    cured = entrypoint.with_local_paths(message(model=artifact(uri, MODEL)), Path("/"))
    assert cured["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == path
    assert entrypoint.with_store_uris(cured["outputs"], Path("/"))["artifacts"]["model"]["artifacts"][0]["uri"] == uri


def test_metadata_without_a_value_is_left_out() -> None:
    given = {"artifacts": {"model": artifact("s3://b/m", blessed=None, version=2.0, note="")}, "parameterValues": {"x": None}}
    cured = entrypoint.without_nulls(given)
    assert cured["artifacts"]["model"]["artifacts"][0]["metadata"] == {"version": 2.0, "note": ""}
    assert cured["parameterValues"] == {"x": None}


INPUTS = {"parameters": {"overrides": {"defaultValue": "{}"}, "span": {"defaultValue": "2026-01-01.."}, "config": {}}}
CONFIG = {
    "name": "shop",
    "dataset": {
        "events": {"path": "e.csv", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
        "tasks": {"buy": {}},
    },
    "ranking": {"epochs": 2},
}


def with_parameters(**values: str) -> dict[str, Any]:
    given = message()
    given["inputs"]["parameterValues"] = {"config": json.dumps(CONFIG), **values}
    return entrypoint.with_run_parameters(given, INPUTS, "Samples")["inputs"]["parameterValues"]


def test_the_runs_parameters_go_into_the_nodes_config() -> None:
    changed = with_parameters(overrides='{"ranking": {"epochs": 5}, "bulk": {"users": "none"}}', span="..2026-02-01")
    assert set(changed) == {"config"}
    config = json.loads(changed["config"])
    assert config["ranking"] == {"epochs": 5}
    assert config["dataset"]["events"]["last_day"] == "2026-02-01"
    assert "bulk" not in config  # this node does not depend on it


def test_parameters_that_a_run_leaves_out_have_their_defaults() -> None:
    assert json.loads(with_parameters()["config"])["dataset"]["events"]["first_day"] == "2026-01-01"


def test_wrong_overrides_are_refused_with_the_key() -> None:
    with pytest.raises(ConfigError) as raised:
        with_parameters(overrides='{"ranking": {"epochs": 0}}')
    assert "Samples, with the run's overrides and span:\n  ranking.epochs: found 0, input should" in str(raised.value)


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Runs the entrypoint as far as TFX with the given overrides; its status and what it says."""

    def attempt(overrides: str) -> tuple[int, str]:
        given = message()
        given["outputs"]["outputFile"] = str(tmp_path / "out.json")
        given["inputs"]["parameterValues"] = {"config": json.dumps(CONFIG), "overrides": overrides}
        arguments = {
            "executor_class_path": "components.samples.component.Samples_Executor",
            "json_serialized_invocation_args": json.dumps(given),
            "json_serialized_inputs_spec_args": json.dumps(INPUTS),
        }
        status = entrypoint.main([part for name, value in arguments.items() for part in (f"--{name}", value)])
        return status, capfd.readouterr().err

    return attempt


def test_what_a_user_did_wrong_is_the_last_line(run: Any, tmp_path: Path) -> None:
    status, said = run("[1]")
    assert status == ConfigError.exit_code
    assert said.splitlines()[-1].startswith("winnow: overrides: found '[1]', wanted an object such as")
    assert not (tmp_path / "out.json").exists()
