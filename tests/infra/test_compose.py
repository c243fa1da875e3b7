"""The compose file: pinned, reachable from this machine alone, without rights and without secrets."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from serving.gateway.command_line import _parser as gateway_flags
from serving.log_writer.command_line import _parser as writer_flags

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "docker"
VARIABLES = {"${WINNOW_SETTINGS:-../config/gateway/movielens-100k.yaml}": "../config/gateway/movielens-100k.yaml"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return compose["services"]


def test_every_image_is_pinned(services: dict[str, dict[str, Any]]) -> None:
    tags = {name: service["image"].rpartition(":")[2] for name, service in services.items()}
    assert all(tag and tag != "latest" and "/" not in tag for tag in tags.values()), tags


def test_every_port_is_this_machines_alone(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_service_has_more_rights_than_it_needs(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service), name
        assert {"mem_limit", "cpus", "healthcheck"} <= set(service) | ({"healthcheck"} if name == "gateway" else set()), name


def test_secrets_are_files_outside_the_repository(compose: dict[str, Any]) -> None:
    assert {each["file"] for each in compose["secrets"].values()} == {f"./secrets/{name}" for name in compose["secrets"]}
    assert "/infra/docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        for variable, value in service.get("environment", {}).items():
            for word in ("KEY", "PASSWORD"):
                assert word not in variable or value == f"/run/secrets/{Path(value).name}", variable


def test_what_is_mounted_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            for variable, value in VARIABLES.items():
                volume = volume.replace(variable, value)
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).resolve().is_file(), source
            elif not source.startswith("$"):
                assert source in compose["volumes"]


def test_our_commands_know_their_flags(services: dict[str, dict[str, Any]]) -> None:
    module, *flags = services["gateway"]["command"]
    assert (module, gateway_flags().parse_args(flags).model_server) == ("serving.gateway", "models:8500")
    module, *flags = services["log-writer"]["command"]
    assert (module, writer_flags().parse_args(flags).store_url) == ("serving.log_writer", "redis://store:6379/0")


def test_the_file_fits_the_schema_of_compose_files(compose: dict[str, Any]) -> None:
    schemas = os.environ.get("WINNOW_SCHEMAS")
    if not schemas:
        pytest.skip("the schema is not here; `make check-manifests` fetches it")
    schema = json.loads((Path(schemas) / "compose-spec.json").read_text())
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(compose)] == []
    wrong = {**compose, "services": {"a": {"image": "b:1", "prots": []}}}
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
