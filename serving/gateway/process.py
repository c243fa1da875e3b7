"""The gateway as a child process, with its model server and its store: for a command that needs one as long as it runs."""

import json
import os
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serving.child_process import ChildProcess
from serving.gateway.keys import Role, read_key

TIMEOUT_S = 30.0


class EmbeddedGateway:
    """Serves the releases of a work directory on free ports of this machine, for as long as the context lasts.

    Attributes:
      url, rest_url: roots of the gateway's API and of the model server's REST API, without a slash at their ends.
    """

    url: str
    rest_url: str

    def __init__(self, workdir: Path, settings: Path | None = None) -> None:
        workdir = workdir.resolve()
        flags = [f"--workdir={workdir}", "--port=0", *([f"--settings={settings.resolve()}"] if settings else [])]
        self._process = ChildProcess("gateway", "serving.gateway", flags, workdir / "gateway.log", 120.0, 30.0)

    def recommend(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to ``POST /v1/recommend``."""
        body, headers = json.dumps(request).encode(), {"Content-Type": "application/json"}
        if key := read_key(Role.RECOMMEND, os.environ):  # the gateway has inherited it
            headers["Authorization"] = f"Bearer {key}"
        asked = urllib.request.Request(f"{self.url}/v1/recommend", body, headers)  # noqa: S310  our own address
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return dict(json.load(answer))

    def __enter__(self) -> Self:
        said = self._process.start()
        self.url, self.rest_url = said["url"], said["rest_url"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.stop()
