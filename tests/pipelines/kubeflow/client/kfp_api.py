"""Kubeflow Pipelines' REST API on this machine, for tests: a real HTTP server, its state in memory, its failures on demand.

What goes in and out passes through the models of the generated client (kfp_routes). What is not in them follows the sources of
Kubeflow Pipelines 2: the health answer holds the version; the API and its uploads have different forms of error; an upload that
is not permitted is answered with 400.
"""

import email
import itertools
import json
import ssl
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.client.client import _FILTER_OPERATIONS
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.pipelines.kubeflow.client.kfp_routes import Route, read, routes, write
from tests.pipelines.kubeflow.client.kfp_run import EPOCH, advance, nodes_of

LOGIN_PAGE = "<!DOCTYPE html><html><title>Log in</title></html>"
NUMBERED = {number: name for name, number in _FILTER_OPERATIONS.items()}
HEALTH_PATHS = ("/apis/v1beta1/healthz", "/apis/v2beta1/healthz")
CODES = {400: "InvalidArgument", 401: "Unauthenticated", 403: "PermissionDenied", 404: "NotFound", 409: "AlreadyExists"}


class Refused(Exception):  # noqa: N818  an answer, no error of the server
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class Switches:
    """What is special about the installation.

    Attributes:
      version: as the health answer says it. first_generation: only the API of Kubeflow Pipelines 1 is there.
      page: asked through the web page, whose health answer has other names; api_down: and the API behind it does not answer.
      login: what is not logged in is sent to a page. token, cookie: what is asked for.
      refuse: by operation, the answers of its next calls in the place of the real ones; an answer is a status and a text.
      slow_s: by operation, seconds between what is done and its answer.
      fails: the node that fails; driver_fails: the node whose driver does. hangs: the run never ends.
    """

    version: str = "2.15.0"
    multi_user: bool = False
    first_generation: bool = False
    page: bool = False
    api_down: bool = False
    login: bool = False
    html: bool = False
    token: str | None = None
    cookie: str | None = None
    refuse: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    slow_s: dict[str, float] = field(default_factory=dict)
    fails: str | None = None
    driver_fails: str | None = None
    hangs: bool = False


@dataclass(frozen=True)
class Call:
    """One request that was answered, as tests look at it."""

    operation: str
    status: int
    headers: dict[str, str]
    query: dict[str, str]


@dataclass(frozen=True)
class Request:
    places: dict[str, str]
    query: dict[str, str]
    body: Any
    file: str


class KubeflowPipelinesApi:
    """A context: the server lives within it.

    A run makes a step with each time that it is asked for, so that no test waits for a clock.
    """

    ROUTES: ClassVar[list[Route]] = routes()

    def __init__(self, switches: Switches | None = None) -> None:
        self.switches = switches or Switches()
        self.calls: list[Call] = []
        self.pipelines: dict[str, kfp_server_api.V2beta1Pipeline] = {}
        self.versions: dict[str, kfp_server_api.V2beta1PipelineVersion] = {}
        self.experiments: dict[str, kfp_server_api.V2beta1Experiment] = {}
        self.runs: dict[str, kfp_server_api.V2beta1Run] = {}
        self.recurring: dict[str, kfp_server_api.V2beta1RecurringRun] = {}
        self._steps: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._called = threading.Condition()
        self._clock = itertools.count()

    def __enter__(self) -> "KubeflowPipelinesApi":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Answer over TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def operations(self) -> list[str]:
        """The calls so far, by the names of the client's methods."""
        return [call.operation for call in self.calls]

    def wait_for(self, operation: str, count: int = 1, timeout_s: float = 60.0) -> bool:
        """Until an operation has been called; False where it is not in time."""
        with self._called:
            return self._called.wait_for(lambda: self.operations.count(operation) >= count, timeout_s)

    def cancel_runs(self) -> None:
        with self._lock:
            for run in self.runs.values():
                run.state = "CANCELED"

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to one request."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        operation, path = "", parts.path
        try:
            with self._lock:
                self._admit(path, headers)
                if path in HEALTH_PATHS:
                    operation, content = "healthz_service_get_healthz", self._health(path)
                else:
                    route, places = _find(self.ROUTES, method, path)
                    operation = route.operation
                    content = self._call(route, Request(places, query, *_parts(route, headers, body)))
        except Refused as refused:
            self._note(Call(operation, refused.status, headers, query))
            if refused.status == 302:
                return 302, {"Location": refused.text}, b""
            if refused.text.startswith("<"):
                return refused.status, {"Content-Type": "text/html"}, refused.text.encode()
            return refused.status, {"Content-Type": "application/json"}, _error(operation, refused)
        self._note(Call(operation, 200, headers, query))
        time.sleep(self.switches.slow_s.get(operation, 0.0))
        return 200, {"Content-Type": "application/json"}, content

    def _note(self, call: Call) -> None:
        with self._called:
            self.calls.append(call)
            self._called.notify_all()

    def _admit(self, path: str, headers: dict[str, str]) -> None:
        switches = self.switches
        if switches.html or path == "/login":
            raise Refused(200, LOGIN_PAGE)
        known = (switches.token and headers.get("Authorization") == f"Bearer {switches.token}") or (
            switches.cookie and headers.get("Cookie") == switches.cookie
        )
        if switches.login and not known:
            raise Refused(302, "/login")
        if (switches.token or switches.cookie) and not known:
            raise Refused(401, "Request header error: there is no user identity header.")
        if switches.first_generation and not path.startswith("/apis/v1beta1/"):
            raise Refused(404, "Not Found")

    def _health(self, path: str) -> bytes:
        self._refuse("healthz_service_get_healthz")
        switches = self.switches
        health = kfp_server_api.V2beta1GetHealthzResponse(multi_user=switches.multi_user, pipeline_store="database")
        if switches.first_generation and "v1beta1" not in path:
            raise Refused(404, "Not Found")
        answer = json.loads(write(health, "V2beta1GetHealthzResponse"))
        if not switches.page:
            return json.dumps({**answer, "tag_name": switches.version, "commit_sha": "0" * 40}).encode()
        if switches.api_down:
            return json.dumps({"apiServerReady": False, "frontendTagName": switches.version}).encode()
        return json.dumps({**answer, "apiServerReady": True, "apiServerTagName": switches.version}).encode()

    def _call(self, route: Route, request: Request) -> bytes:
        unknown = set(request.query) - route.query
        if unknown:
            raise Refused(400, f"unknown query parameters {sorted(unknown)}")
        handler = getattr(self, f"_{route.operation}", None)
        if handler is None:
            raise Refused(501, f"this stub has no {route.operation}")
        self._refuse(route.operation)
        try:
            return write(handler(request), route.answer)
        except ValueError as error:
            raise Refused(500, f"{route.operation}: {error}") from error

    def _refuse(self, operation: str) -> None:
        if self.switches.refuse.get(operation):
            raise Refused(*self.switches.refuse[operation].pop(0))

    def _now(self) -> datetime:
        """Each moment is a second after the one before."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._clock))

    def _pipeline_service_list_pipelines(self, request: Request) -> Any:
        page, token = self._page(self.pipelines, request)
        return kfp_server_api.V2beta1ListPipelinesResponse(
            pipelines=page, next_page_token=token, total_size=len(self.pipelines)
        )

    def _pipeline_service_create_pipeline(self, request: Request) -> Any:
        pipeline = request.body
        pipeline.namespace = self._namespace(pipeline.namespace)
        same = (pipeline.display_name, pipeline.namespace)
        if same in [(each.display_name, each.namespace) for each in self.pipelines.values()]:
            raise Refused(409, f"The name {pipeline.display_name} already exist. Please specify a new name.")
        pipeline.pipeline_id, pipeline.created_at = str(uuid.uuid4()), self._now()
        self.pipelines[pipeline.pipeline_id] = pipeline
        return pipeline

    def _pipeline_service_list_pipeline_versions(self, request: Request) -> Any:
        mine = {key: each for key, each in self.versions.items() if each.pipeline_id == request.places["pipeline_id"]}
        page, token = self._page(mine, request)
        return kfp_server_api.V2beta1ListPipelineVersionsResponse(pipeline_versions=page, next_page_token=token)

    def _upload_pipeline_version(self, request: Request) -> Any:
        pipeline_id, name = request.query["pipelineid"], request.query["name"]
        if pipeline_id not in self.pipelines:
            raise Refused(400, "Failed to create a pipeline version")
        if any(each.pipeline_id == pipeline_id and each.display_name == name for each in self.versions.values()):
            raise Refused(409, "Failed to create a pipeline version")
        version = kfp_server_api.V2beta1PipelineVersion(
            pipeline_id=pipeline_id,
            pipeline_version_id=str(uuid.uuid4()),
            display_name=name,
            created_at=self._now(),
            pipeline_spec=_spec(request.file),
        )
        self.versions[version.pipeline_version_id] = version
        return version

    def _experiment_service_list_experiments(self, request: Request) -> Any:
        page, token = self._page(self.experiments, request)
        return kfp_server_api.V2beta1ListExperimentsResponse(experiments=page, next_page_token=token)

    def _experiment_service_create_experiment(self, request: Request) -> Any:
        experiment = request.body
        experiment.namespace = self._namespace(experiment.namespace)
        experiment.experiment_id, experiment.created_at = str(uuid.uuid4()), self._now()
        self.experiments[experiment.experiment_id] = experiment
        return experiment

    def _run_service_create_run(self, request: Request) -> Any:
        run = request.body
        self._require_runnable(run)
        run.run_id, run.created_at, run.state = str(uuid.uuid4()), self._now(), "PENDING"
        run.finished_at = EPOCH  # as the real server says it of what has not ended
        self.runs[run.run_id] = run
        return run

    def _run_service_get_run(self, request: Request) -> Any:
        run = self.runs.get(request.places["run_id"])
        if run is None:
            raise Refused(404, f"Run {request.places['run_id']} not found")
        if run.state in ("PENDING", "RUNNING"):
            version = self.versions[run.pipeline_version_reference.pipeline_version_id]
            nodes = list(nodes_of(version.pipeline_spec))
            advance(run, nodes, self._steps[run.run_id], self._now(), self.switches.fails, self.switches.driver_fails)
            if self.switches.hangs and run.state == "SUCCEEDED":
                run.state = "RUNNING"
            self._steps[run.run_id] += 1
        return run

    def _run_service_list_runs(self, request: Request) -> Any:
        page, token = self._page(self.runs, request)
        return kfp_server_api.V2beta1ListRunsResponse(runs=page, next_page_token=token)

    def _recurring_run_service_create_recurring_run(self, request: Request) -> Any:
        recurring = request.body
        self._require_runnable(recurring)
        if len(recurring.trigger.cron_schedule.cron.split()) not in (5, 6):
            raise Refused(400, "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron).")
        recurring.recurring_run_id, recurring.created_at = str(uuid.uuid4()), self._now()
        recurring.status = "ENABLED" if recurring.mode == "ENABLE" else "DISABLED"
        recurring.namespace = self.experiments[recurring.experiment_id].namespace
        self.recurring[recurring.recurring_run_id] = recurring
        return recurring

    def _recurring_run_service_list_recurring_runs(self, request: Request) -> Any:
        page, token = self._page(self.recurring, request)
        return kfp_server_api.V2beta1ListRecurringRunsResponse(recurring_runs=page, next_page_token=token)

    def _recurring_run_service_delete_recurring_run(self, request: Request) -> Any:
        if self.recurring.pop(request.places["recurring_run_id"], None) is None:
            raise Refused(404, "recurring run not found")
        return {}

    def _namespace(self, given: str | None) -> str:
        """Without users there are no namespaces, whatever is given."""
        if not self.switches.multi_user:
            return ""
        if not given:
            raise Refused(400, "Namespace is empty: in multi-user mode it must be given")
        return given

    def _require_runnable(self, launch: Any) -> None:
        """What the real server checks of a run or a recurring one before it takes it."""
        if launch.experiment_id not in self.experiments:
            raise Refused(404, f"Experiment {launch.experiment_id} not found")
        reference = launch.pipeline_version_reference
        version = self.versions.get(reference.pipeline_version_id) if reference else None
        if version is None or version.pipeline_id != reference.pipeline_id:
            raise Refused(404, "PipelineVersion not found")
        spec = version.pipeline_spec.get("pipeline_spec", version.pipeline_spec)
        known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = (launch.runtime_config.parameters if launch.runtime_config else None) or {}
        for name in sorted(set(given) - set(known)):
            raise Refused(400, f"parameter {name} is not found in the pipeline's inputs")
        for name, declared in known.items():
            if name not in given and "defaultValue" not in declared and not declared.get("isOptional"):
                raise Refused(400, f"parameter {name} is required and has no default")

    def _page(self, things: dict[str, Any], request: Request) -> tuple[list[Any] | None, str]:
        """A page of what the query asks for, and the token of the next."""
        query = request.query
        if not (query.get("experiment_id") or request.places):
            self._namespace(query.get("namespace"))
        found = [each for each in things.values() if _wanted(each, query, self.experiments)]
        key, _, order = query.get("sort_by", "").partition(" ")
        if key:
            found.sort(key=lambda each: getattr(each, key), reverse=order == "desc")
        start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
        token = str(start + size) if start + size < len(found) else ""
        return found[start : start + size] or None, token


def _handler_of(api: KubeflowPipelinesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: the client would acknowledge the first after 40 ms

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = {name.title(): value for name, value in self.headers.items()}
            status, headers, content = api.answer(self.command, self.path, sent, body)
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):  # who asked has gone away
                self.close_connection = True

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _find(known: list[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in known:
        places = route.match(method, path)
        if places is not None:
            return route, places
    raise Refused(404, "Not Found")


def _parts(route: Route, headers: dict[str, str], body: bytes) -> tuple[Any, str]:
    """The body as its model, and the file of an upload."""
    if route.takes_file:
        form = email.message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
        (file,) = (each for each in form.get_payload() if each.get_param("name", header="Content-Disposition") == "uploadfile")
        return None, file.get_payload(decode=True).decode()
    if route.body is None:
        return None, ""
    try:
        return read(body, route.body), ""
    except ValueError as error:
        raise Refused(400, str(error)) from error


def _error(operation: str, refused: Refused) -> bytes:
    if operation.startswith("upload_"):
        return json.dumps({"error_message": refused.text, "error_details": refused.text}).encode()
    status = kfp_server_api.GoogleRpcStatus(code=refused.status, message=refused.text, details=[])
    said = json.loads(write(status, "GoogleRpcStatus"))
    return json.dumps({**said, "error": f"{CODES.get(refused.status, 'Internal')}: {refused.text}"}).encode()


def _wanted(thing: Any, query: dict[str, str], experiments: dict[str, Any]) -> bool:
    if query.get("experiment_id") and thing.experiment_id != query["experiment_id"]:
        return False
    own = thing if hasattr(thing, "namespace") else experiments.get(getattr(thing, "experiment_id", ""))
    if query.get("namespace") and own is not None and own.namespace != query["namespace"]:
        return False
    if not query.get("filter"):
        return True
    # The server takes a field in both spellings, and an enumeration by name and by number.
    raw = json.loads(query["filter"].replace("stringValue", "string_value"))
    for predicate in raw["predicates"]:
        predicate["operation"] = NUMBERED.get(predicate["operation"], predicate["operation"])
    wanted = read(json.dumps(raw).encode(), "V2beta1Filter")
    for predicate in wanted.predicates:
        if predicate.operation != "EQUALS":
            raise Refused(501, f"this stub compares only with EQUALS, not {predicate.operation}")
        if getattr(thing, predicate.key) != predicate.string_value:
            return False
    return True


def _spec(text: str) -> dict[str, Any]:
    """The pipeline and, where there is one, what is special to its platform, both strictly of their schemas."""
    try:
        pipeline, *platform = list(yaml.safe_load_all(text))
        json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
        for document in platform:
            json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
    except (yaml.YAMLError, json_format.ParseError) as error:
        raise Refused(400, f"Failed to create a pipeline version: {error}") from error
    if pipeline["schemaVersion"] != "2.1.0":
        raise Refused(400, f"Failed to create a pipeline version: schema version {pipeline['schemaVersion']} is not supported")
    return {"pipeline_spec": pipeline, "platform_spec": platform[0]} if platform else dict(pipeline)
