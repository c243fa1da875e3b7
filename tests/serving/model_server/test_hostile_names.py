"""Names that are meant for a file, a header or a log: to the model server they are names of no model."""

import socket
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
import pytest

from serving.inference import InferenceError, ModelClient
from serving.model_server.process import EmbeddedServer

NAMES = ["../affine", "../../etc/passwd", "/etc/passwd", "affine/../affine", "affine\0", "affine\r\nX-Evil: 1", "é" * 500]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rest", ["", "/metadata", "/versions/1", "/labels/canary"])
def test_a_name_is_looked_up_and_nothing_else(server: EmbeddedServer, name: str, rest: str) -> None:
    reply = httpx.get(f"{server.rest_url}/v1/models/{quote(name, safe='')}{rest}")
    assert reply.status_code == 404
    assert name in reply.json()["error"]
    assert set(reply.headers) == {"content-type", "content-length", "date"}


@pytest.mark.parametrize("name", NAMES)
def test_neither_is_it_predicted_with(server: EmbeddedServer, client: ModelClient, name: str) -> None:
    url = f"{server.rest_url}/v1/models/{quote(name, safe='')}"
    for target in (f"{url}:predict", f"{url}/labels/{quote(name, safe='')}:predict"):
        assert httpx.post(target, json={"instances": [1]}).status_code in (400, 404)
    with pytest.raises(InferenceError, match="Servable not found for request"):
        client.predict(name, {"x": np.array([1.0], np.float32)})


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/models/../../../../etc/passwd",
        b"/v1/models/affine/versions/../../../etc/passwd",
        b"/v1/models/affine/versions/..%2f..:predict",
        b"/v1/models//etc/passwd",
        b"/../../etc/passwd",
        b"/v1/models/affine\xff",
        b"http://elsewhere/v1/models/affine/../x",
        b"*",
    ],
)
def test_dots_and_slashes_as_they_are(server: EmbeddedServer, target: bytes) -> None:
    address = urlsplit(server.rest_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert reply.split()[1] in (b"400", b"404")
    assert b"root:" not in reply
    assert httpx.get(f"{server.rest_url}/v1/models/affine").status_code == 200
