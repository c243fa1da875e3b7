"""How Kubeflow Pipelines is reached: the endpoint, who asks, and what went wrong when it does not answer.

kfp's client alone would wait for ever for an endpoint that takes a connection and says nothing, and would read the login page
of a proxy as an empty list.
"""

import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import kfp_server_api
import urllib3
from kfp.client import Client, TokenCredentialsBase
from kfp_server_api.exceptions import ApiException
from kfp_server_api.rest import RESTClientObject

from components.errors import ClusterError, ConfigError
from pipelines.kubeflow.client.refusals import HOW_TO_REACH, OLDEST, not_kubeflow, refused_clearly, too_old, unreachable

IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PROJECTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105  a file's path; there where the pod asks for one


@dataclass(frozen=True)
class Access:
    """Where to ask, and as whom.

    Attributes:
      namespace: of the user, where the installation is one for many users.
      token, cookie: secrets, kept out of messages and logs. token_file: read anew for each request, since tokens expire.
      ca_file: certificates to trust instead of the public ones.
      timeouts_s: to connect, and for each answer.
    """

    endpoint: str | None = None
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    cookie: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    timeouts_s: tuple[float, float] = (5.0, 60.0)


@dataclass(frozen=True)
class Health:
    """What an installation says of itself; ``version`` is empty where it does not say."""

    version: str
    multi_user: bool


class _TokenFile(TokenCredentialsBase):
    def __init__(self, path: Path) -> None:
        self._path = path

    def refresh_api_key_hook(self, config: Any) -> None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--token-file {self._path}: cannot be read ({error})") from error
        config.api_key["authorization"] = _as_header(text, f"--token-file {self._path}")


class _Rest(RESTClientObject):
    """The HTTP of the generated client, with time limits, and with errors that say what to do."""

    def __init__(self, configuration: Any, timeouts_s: tuple[float, float]) -> None:
        super().__init__(configuration)
        self._endpoint, self._timeouts_s = configuration.host, timeouts_s

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        try:
            answer = super().request(method, url, *args, **{**kwargs, "_request_timeout": self._timeouts_s})
        except ApiException as error:
            error.body = (error.body or b"").decode(errors="replace").encode()  # who comes next takes it for UTF-8
            raise
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(self._endpoint, error, may_have_acted=method != "GET") from error
        if not _is_json_object(answer.data):
            raise not_kubeflow(self._endpoint, answer.data)
        return answer


def connect(access: Access) -> tuple[Client, Health, str]:
    """A client of the installation that ``access`` names, what that is, and its endpoint.

    The client's namespace is the one to work in; empty where the installation knows no users.

    Raises:
      ConfigError: the endpoint, the token's file or the namespace is missing or wrong.
      ClusterError: nothing answers there, or something that is no Kubeflow Pipelines, or too old a one.
    """
    endpoint = _endpoint(access.endpoint)
    token = _as_header(access.token, "the token") if access.token else None
    cookie = _as_header(access.cookie, "the cookie") if access.cookie else None
    access = replace(access, token=token, cookie=cookie)
    credentials = _credentials(access)
    if access.ca_file is not None and not access.ca_file.is_file():
        raise ConfigError(f"--ca-file {access.ca_file}: is no file; wanted certificates in PEM")
    health = _health(endpoint, access, credentials)
    namespace = _namespace(endpoint, access.namespace) if health.multi_user else ""
    client = Client(
        host=endpoint,
        namespace=namespace,
        existing_token=access.token,
        credentials=credentials,
        cookies=access.cookie,
        ssl_ca_cert=str(access.ca_file) if access.ca_file else None,
    )
    api = client.runs.run_service_list_runs.__self__.api_client  # all its services share this one
    api.rest_client = _Rest(api.configuration, access.timeouts_s)
    return client, health, endpoint


def _endpoint(given: str | None) -> str:
    if not given:
        if not os.environ.get("KUBERNETES_SERVICE_HOST"):
            raise ConfigError(
                "found no endpoint of Kubeflow Pipelines, and this is no pod of a cluster; give --endpoint or set "
                f"KFP_ENDPOINT. {HOW_TO_REACH}"
            )
        return IN_CLUSTER
    if not given.startswith(("http://", "https://")):
        raise ConfigError(f"--endpoint: found {given!r}, wanted a URL that begins with http:// or https://")
    return given.partition("#")[0].rstrip("/")  # people copy the address of the web page, with its #/pipelines


def _as_header(secret: str, what: str) -> str:
    """Checked here, since the HTTP library would show it in its message."""
    secret = secret.strip()
    if not re.fullmatch(r"[\x20-\x7e]+", secret):
        raise ConfigError(f"{what}: is empty or holds a line break or another character that HTTP has no place for")
    return secret


def _credentials(access: Access) -> _TokenFile | None:
    if access.token and access.token_file:
        raise ConfigError("found a token and --token-file, wanted one of them; is KFP_EXISTING_TOKEN set?")
    if access.token_file:
        return _TokenFile(access.token_file)
    projected = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", PROJECTED_TOKEN))
    # A pod brings its own, but never to an endpoint that somebody named.
    return _TokenFile(projected) if not (access.endpoint or access.token) and projected.is_file() else None


def _namespace(endpoint: str, given: str | None) -> str:
    own = SERVICE_ACCOUNT / "namespace"
    namespace = given or (own.read_text().strip() if own.is_file() else "")
    if not namespace:
        raise ConfigError(
            f"{endpoint}: serves many users, each in a namespace, and none is given; give --namespace or set KFP_NAMESPACE, as "
            "the page shows at its top"
        )
    return namespace


def _health(endpoint: str, access: Access, credentials: _TokenFile | None) -> Health:
    """Asked before kfp's client is made, which would otherwise try five times, five seconds apart."""
    configuration = kfp_server_api.Configuration(host=endpoint)
    configuration.retries = urllib3.Retry(total=3, connect=0, read=0)  # follows redirects, to the login page it may be
    if access.ca_file:
        configuration.ssl_ca_cert = str(access.ca_file)
    if access.token:
        configuration.api_key["authorization"] = access.token
    elif credentials:
        configuration.api_key["authorization"] = ""  # there must be one, for the hook to be called that puts it right
        configuration.refresh_api_key_hook = credentials.refresh_api_key_hook
    configuration.api_key_prefix["authorization"] = "Bearer"
    api = kfp_server_api.ApiClient(configuration, cookie=access.cookie)
    api.rest_client = _Rest(configuration, access.timeouts_s)
    with refused_clearly(endpoint, "asking for its version"):
        try:
            found = _asked(api, "/apis/v2beta1/healthz")
        except ApiException as error:
            if error.status != 404:
                raise
            found = _asked_of_first_generation(api, endpoint, error)
    if found.get("apiServerReady") is False:
        raise ClusterError(
            f"{endpoint}: the web page of Kubeflow Pipelines answers, but not the API behind it; is its pod running?"
        )
    if "multi_user" not in found:
        raise not_kubeflow(endpoint, json.dumps(found))
    version = str(found.get("tag_name") or found.get("apiServerTagName") or "")
    _refuse_old(endpoint, version)
    return Health(version, found["multi_user"] is True)


def _asked(api: kfp_server_api.ApiClient, path: str) -> dict[str, Any]:
    """The raw answer: the generated model leaves the version out. The web page in front of the API has names of its own."""
    answer = api.call_api(path, "GET", auth_settings=["Bearer"], _return_http_data_only=True, response_type="object")
    return dict(answer)


def _asked_of_first_generation(api: kfp_server_api.ApiClient, endpoint: str, error: ApiException) -> dict[str, Any]:
    try:
        found = _asked(api, "/apis/v1beta1/healthz")
    except ApiException as second:
        raise not_kubeflow(endpoint, error.body or "") from second
    raise too_old(endpoint, str(found.get("tag_name") or found.get("apiServerTagName") or "1"))


def _refuse_old(endpoint: str, version: str) -> None:
    """A version that is no number, as of a build of one's own, is trusted: it has the API of the second generation."""
    numbers = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(-.+)?", version)
    if numbers:
        found = tuple(int(number) for number in numbers.group(1, 2, 3))
        if found < OLDEST or (found == OLDEST and numbers[4]):
            raise too_old(endpoint, version)


def _is_json_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data or b"{}"), dict)
    except ValueError:
        return False
