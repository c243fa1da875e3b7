"""The stub is what the generated client believes the server to be, and takes all that kfp's client sends in our flows."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from pipelines.kubeflow.client.cron import Cron
from pipelines.kubeflow.client.follow import follow
from pipelines.kubeflow.client.installation import KubeflowPipelines, Launch
from pipelines.kubeflow.client.package import Package
from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi
from tests.pipelines.kubeflow.client.kfp_routes import read, routes, write


def test_every_call_of_our_flows_is_taken(cluster: KubeflowPipelines, api: KubeflowPipelinesApi, package: Package) -> None:
    version = cluster.upload(package)
    cluster.upload(package)
    launch = Launch("first", "shop", {"span": 3}, root="s3://bucket/shop", service_account="trainer")
    follow(cluster, cluster.start(version, launch), package.nodes, lambda outcome: None, poll_s=0.0)
    cluster.schedule(version, launch, Cron.parse("0 3 * * *"), replace=False)
    cluster.schedule(version, launch, Cron.parse("0 4 * * *"), replace=True)
    assert cluster.runs(5, None)
    assert cluster.runs(5, "shop")
    assert cluster.schedules("shop")
    assert {call.status for call in api.calls} == {200}
    served = {name.removeprefix("_") for name in dir(api)}
    known = {route.operation for route in routes()}
    # What is served is what the flows need, no more and no less.
    assert set(api.operations) == (served & known) | {"healthz_service_get_healthz"}


def test_the_routes_are_the_generated_clients() -> None:
    by_operation = {route.operation: route for route in routes()}
    create = by_operation["run_service_create_run"]
    assert (create.method, create.path, create.body) == ("POST", "/apis/v2beta1/runs", "V2beta1Run")
    assert create.answer == "V2beta1Run"
    upload = by_operation["upload_pipeline_version"]
    assert upload.takes_file
    assert "pipelineid" in upload.query
    get = by_operation["run_service_get_run"]
    assert get.match("GET", "/apis/v2beta1/runs/r-1") == {"run_id": "r-1"}
    assert get.match("GET", "/apis/v2beta1/runs/r-1:retry") is None
    assert get.match("DELETE", "/apis/v2beta1/runs/r-1") is None


@pytest.mark.parametrize(
    ("body", "model", "message"),
    [
        ({"display_nam": "a"}, "V2beta1Run", "V2beta1Run: display_nam: unknown field"),
        ({"runtime_config": {"pipelineRoot": "s3://b"}}, "V2beta1Run", "runtime_config.pipelineRoot: unknown field"),
        ({"display_name": 3}, "V2beta1Run", "display_name: found 3, wanted str"),
        ({"mode": "ON"}, "V2beta1RecurringRun", "mode: found 'ON', wanted one of"),
        ({"no_catchup": "yes"}, "V2beta1RecurringRun", "no_catchup: found 'yes', wanted bool"),
    ],
)
def test_what_is_not_of_the_models_is_refused(body: dict[str, object], model: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"found|unknown") as raised:
        read(json.dumps(body).encode(), model)
    assert message in str(raised.value)


def test_an_answer_of_another_model_is_no_answer(api: KubeflowPipelinesApi) -> None:
    with pytest.raises(ValueError, match="found dict, wanted V2beta1Run"):
        write({"run_id": "r-1"}, "V2beta1Run")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/apis/v2beta1/nothing", "", 404, "Not Found"),
        ("GET", "/apis/v2beta1/runs?pagesize=3", "", 400, "unknown query parameters ['pagesize']"),
        ("POST", "/apis/v2beta1/runs", '{"experiment_id": "e-1"}', 404, "Experiment e-1 not found"),
        ("POST", "/apis/v2beta1/runs", '{"experiment": "e-1"}', 400, "experiment: unknown field"),
        ("GET", "/apis/v2beta1/runs/r-1", "", 404, "Run r-1 not found"),
        ("POST", "/apis/v2beta1/runs/r-1:retry", "", 501, "this stub has no run_service_retry_run"),
    ],
)
def test_the_server_refuses_as_the_real_one(
    api: KubeflowPipelinesApi, method: str, path: str, body: str, status: int, message: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=10)
    connection.request(method, path, body or None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    assert answer.status == status
    assert message in said["message"]
