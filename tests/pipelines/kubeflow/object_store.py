"""A real S3-compatible store on loopback, and a door before it that can be shut to some requests."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.server import ThreadedMotoServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/"  # as far as the store looks
REFUSED = b"<Error><Code>AccessDenied</Code><Message>the door is shut</Message></Error>"


@contextmanager
def object_store(bucket: str) -> Iterator[str]:
    """Its endpoint; ``bucket`` is there, and empty."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    connection = http.client.HTTPConnection(host, port)
    connection.request(
        "PUT", f"/{bucket}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/"}
    )
    created = connection.getresponse()
    connection.close()
    assert created.status == 200, created.read()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextmanager
def door(endpoint: str, method: str, part: str) -> Iterator[str]:
    """An endpoint before another, which refuses the requests of ``method`` whose path has ``part`` in it."""
    address = endpoint.removeprefix("http://")

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.command == method and part in self.path:
                self._answer(403, {"Content-Type": "application/xml"}, REFUSED)
                return
            connection = http.client.HTTPConnection(address, timeout=60)
            # With its own Host header, which is part of what the client has signed.
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            headers = {
                name: value for name, value in response.getheaders() if name.lower() not in ("transfer-encoding", "connection")
            }
            self._answer(response.status, headers, response.read())
            connection.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if self.command == "HEAD" or name.lower() != "content-length":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815  the standard library's names

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
