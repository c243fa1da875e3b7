"""Where Kubeflow Pipelines is, who asks, and each way in which it does not answer."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.errors import ClusterError, ConfigError
from pipelines.kubeflow.client.connection import Access
from pipelines.kubeflow.client.installation import KubeflowPipelines
from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi

TOKEN, COOKIE = "token-of-a-test", "authservice_session=of-a-test"


def refused(access: Access) -> str:
    with pytest.raises(ClusterError) as raised:
        KubeflowPipelines(access)
    assert raised.value.exit_code == 7
    return str(raised.value)


def misconfigured(access: Access) -> str:
    with pytest.raises(ConfigError) as raised:
        KubeflowPipelines(access)
    return str(raised.value)


def test_nothing_listens_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = refused(Access(f"http://127.0.0.1:{port}"))
    assert f"http://127.0.0.1:{port}: Kubeflow Pipelines cannot be reached: nothing listens there" in message
    assert "kubectl port-forward" in message


def test_there_is_no_such_host() -> None:
    assert "cannot be reached: there is no such host; check --endpoint" in refused(Access("http://kubeflow.invalid:8080"))


def test_it_takes_the_connection_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        message = refused(Access(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeouts_s=(0.2, 0.2)))
    assert "cannot be reached: no answer within the time limit" in message


def test_it_is_a_web_page_of_something_else(api: KubeflowPipelinesApi) -> None:
    api.switches.html = True
    message = refused(Access(api.url))
    assert f"{api.url}: found a web page, wanted the API of Kubeflow Pipelines; check --endpoint" in message


def test_it_is_a_server_of_something_else() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # answers 501 with a page to everything
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        assert "answered 501 while asking for its version" in refused(Access(f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_path_that_is_not_the_apis_is_no_kubeflow(api: KubeflowPipelinesApi) -> None:
    assert "wanted the API of Kubeflow Pipelines; check --endpoint (with its path" in refused(Access(f"{api.url}/pipeline"))


def test_a_login_page_is_told_as_one(api: KubeflowPipelinesApi) -> None:
    api.switches.login, api.switches.cookie = True, COOKIE
    message = refused(Access(api.url))
    assert "found a web page" in message
    assert "If it is the login page of a Kubeflow, log in with --token-file" in message
    assert KubeflowPipelines(Access(api.url, cookie=COOKIE)).health.version == "2.15.0"


@pytest.mark.parametrize("version", ["1.8.5", "2.0.0-beta.2", "v2.0.0-alpha.7"])
def test_too_old_a_version_is_found_and_the_wanted_one_named(api: KubeflowPipelinesApi, version: str) -> None:
    api.switches.version, api.switches.first_generation = version, version.startswith("1")
    message = refused(Access(api.url))
    assert f"{api.url}: found Kubeflow Pipelines {version}, wanted 2.0.0 or later" in message
    assert "schema 2.1.0" in message


@pytest.mark.parametrize("version", ["2.0.0", "v2.5.1", "2.15.0-rc.1", "unknown", ""])
def test_a_version_that_takes_our_pipelines_is_taken(api: KubeflowPipelinesApi, version: str) -> None:
    api.switches.version = version
    assert KubeflowPipelines(Access(api.url)).health.version == version


def test_the_web_page_in_front_of_the_api_does_as_well(api: KubeflowPipelinesApi) -> None:
    api.switches.page = True
    assert KubeflowPipelines(Access(f"{api.url}/#/pipelines")).health.version == "2.15.0"
    api.switches.api_down = True
    assert "the web page of Kubeflow Pipelines answers, but not the API behind it" in refused(Access(api.url))


def test_who_is_not_known_is_told_how_to_log_in(api: KubeflowPipelinesApi) -> None:
    api.switches.token = TOKEN
    for access in (Access(api.url), Access(api.url, token="wrong")):  # noqa: S106
        message = refused(access)
        assert "who asks was not accepted while asking for its version (401: Request header error" in message
        assert "log in with --token-file (or KFP_EXISTING_TOKEN)" in message
        assert "wrong" not in message


def test_a_token_is_sent_and_never_shown(api: KubeflowPipelinesApi) -> None:
    api.switches.token = TOKEN
    access = Access(api.url, token=TOKEN, cookie=COOKIE)
    KubeflowPipelines(access).runs(1, None)
    assert {call.headers["Authorization"] for call in api.calls} == {f"Bearer {TOKEN}"}
    assert {call.headers["Cookie"] for call in api.calls} == {COOKIE}
    assert TOKEN not in repr(access)
    assert COOKIE not in repr(access)


def test_a_token_file_is_read_anew_for_each_request(api: KubeflowPipelinesApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    api.switches.token = "first"  # noqa: S105
    cluster = KubeflowPipelines(Access(api.url, token_file=file))
    file.write_text("second\n")
    api.switches.token = "second"  # noqa: S105
    assert cluster.runs(1, None) == []


def test_a_secret_that_is_no_header_is_refused_and_not_shown(api: KubeflowPipelinesApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hushed\nof two lines")
    for access, what in (
        (Access(api.url, token="hushed\r\nX-Other: 1"), "the token"),  # noqa: S106
        (Access(api.url, cookie="hushed=ü"), "the cookie"),
        (Access(api.url, token_file=file), f"--token-file {file}"),
    ):
        message = misconfigured(access)
        assert message.startswith(f"{what}: is empty or holds a line break")
        assert "hushed" not in message
    api.switches.token = TOKEN
    assert KubeflowPipelines(Access(api.url, token=f"{TOKEN}\n")).runs(1, None) == []


def test_a_service_that_is_forbidden_says_so(api: KubeflowPipelinesApi) -> None:
    api.switches.refuse["healthz_service_get_healthz"] = [(403, "RBAC: access denied")]
    message = refused(Access(api.url))
    assert "permission refused while asking for its version (403: RBAC: access denied)" in message
    assert "kubeflow-edit" in message


def test_an_error_of_the_server_is_told_in_its_words(api: KubeflowPipelinesApi) -> None:
    api.switches.refuse["healthz_service_get_healthz"] = [(500, "database is locked")]
    assert "answered 500 while asking for its version: database is locked" in refused(Access(api.url))


def test_many_users_need_a_namespace(api: KubeflowPipelinesApi) -> None:
    api.switches.multi_user = True
    message = misconfigured(Access(api.url))
    assert f"{api.url}: serves many users, each in a namespace, and none is given; give --namespace" in message
    assert KubeflowPipelines(Access(api.url, namespace="team-a")).namespace == "team-a"


def test_without_users_there_is_no_namespace(api: KubeflowPipelinesApi) -> None:
    assert KubeflowPipelines(Access(api.url, namespace="team-a")).namespace is None


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (Access("kubeflow.example"), "--endpoint: found 'kubeflow.example', wanted a URL that begins with http:// or https://"),
        (Access("http://127.0.0.1:1", token="a", token_file=Path("b")), "found a token and --token-file, wanted one of them"),  # noqa: S106
        (Access("http://127.0.0.1:1", token_file=Path("/none")), "--token-file /none: cannot be read"),
        (Access("http://127.0.0.1:1", ca_file=Path("/none")), "--ca-file /none: is no file"),
    ],
)
def test_a_wrong_access_is_refused_before_anything_is_sent(access: Access, message: str) -> None:
    assert message in misconfigured(access)


def test_outside_a_cluster_an_endpoint_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert "found no endpoint of Kubeflow Pipelines, and this is no pod of a cluster; give --endpoint" in misconfigured(
        Access()
    )


def test_inside_a_cluster_its_service_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "http://ml-pipeline.kubeflow.svc.cluster.local:8888: Kubeflow Pipelines cannot be reached" in refused(Access())


def test_a_pods_own_token_goes_to_its_own_cluster_only(
    api: KubeflowPipelinesApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    KubeflowPipelines(Access(api.url)).runs(1, None)
    assert not any("Authorization" in call.headers for call in api.calls)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with a certificate that only its own authority knows, and that authority."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    api = KubeflowPipelinesApi()
    with api:
        api.encrypt(context)
        yield api.url.replace("http:", "https:"), certificate


def test_a_certificate_that_is_not_trusted_is_told(certified: tuple[str, Path]) -> None:
    url, authority = certified
    assert "its certificate is not trusted" in refused(Access(url))
    assert KubeflowPipelines(Access(url, ca_file=authority)).runs(1, None) == []
