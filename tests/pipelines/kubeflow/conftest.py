import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from components.config import PipelineConfig, load_settings
from components.storage.object_store import ENDPOINT, ObjectStore
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.node_spec import WEBHOOK_ENV
from pipelines.kubeflow.settings import KubeflowSettings
from tests.pipelines.conftest import shop_config, write_shop, written
from tests.pipelines.kubeflow.launcher import Attempt, Launcher
from tests.pipelines.kubeflow.object_store import CREDENTIALS, door, object_store

BUCKET = "winnow"
KILLED, REFUSED = "RetrievalTrainer", "Pusher"


@dataclass
class Cluster:
    """A run of the shop's compiled pipeline, and the store that it has filled."""

    launcher: Launcher
    state: str
    releases: str
    killed_files: list[str] = field(default_factory=list)
    posted: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def store_endpoint() -> Iterator[str]:
    """A store, and the environment that leads to it."""
    with object_store(BUCKET) as endpoint, pytest.MonkeyPatch.context() as environment:
        for name, value in {**CREDENTIALS, ENDPOINT: endpoint}.items():
            environment.setenv(name, value)
        yield endpoint


@pytest.fixture(scope="session")
def settings() -> KubeflowSettings:
    return KubeflowSettings.model_validate(
        {
            "image": "registry.example.com/winnow/pipeline:0.1.0",
            "pipeline_root": f"s3://{BUCKET}/pipelines",
            "registry": f"s3://{BUCKET}/releases",
            "sources": f"s3://{BUCKET}/data",
            "defaults": {"retries": {"count": 1}},
            "webhook": {"secret": "webhook"},
        }
    )


def read(file: Path) -> PipelineConfig:
    """A config with its data paths as they are written."""
    return load_settings(file, PipelineConfig, "a config")


@contextmanager
def webhook(posted: list[dict[str, Any]]) -> Iterator[str]:
    """The URL of a server that notes what is posted to it."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def cluster(store_endpoint: str, settings: KubeflowSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The first attempt of one node is killed while it writes, that of the push is refused its manifest."""
    data = tmp_path_factory.mktemp("data")
    write_shop(data)
    sources = ObjectStore(settings.sources)
    for file in sorted(data.glob("*.parquet")):
        sources.upload(file, file.name)
    compiled = compile_pipeline(read(written(data, shop_config())), settings)
    posted: list[dict[str, Any]] = []
    killed_files: list[str] = []
    with ExitStack() as stack:
        shut = stack.enter_context(door(store_endpoint, "PUT", "manifest.json"))
        hook = stack.enter_context(webhook(posted))

        def before(attempt: Attempt) -> None:
            attempt.environment[WEBHOOK_ENV] = hook  # as the secret would be
            if (attempt.node, attempt.number) == (REFUSED, 1):
                attempt.environment[ENDPOINT] = shut

        def started(attempt: Attempt, process: BaseProcess) -> None:
            if (attempt.node, attempt.number) == (KILLED, 1):
                threading.Thread(target=kill_when_writing, args=(attempt, process, killed_files), daemon=True).start()

        folder = tmp_path_factory.mktemp("pods")
        launcher = Launcher(compiled, settings.pipeline_root, folder, "run-1", before, started)
        yield Cluster(launcher, launcher.run(), settings.releases, killed_files, posted)


def kill_when_writing(attempt: Attempt, process: BaseProcess, files: list[str]) -> None:
    """Kill a node, as the kernel does when memory runs out, once there is a file of an output of its."""
    outputs = attempt.root / "s3" / BUCKET / "pipelines"
    while not wait([process.sentinel], 0.05):
        found = [file for file in outputs.glob(f"*/*/{attempt.node}/*/**/*") if file.is_file()]
        if found:
            process.kill()
            files += map(str, found)
            return
