"""A Beam job server with a small Flink or Spark inside it, for as long as a context lasts."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.scripts.job_server import java_command

READY_WITHIN_S = 60.0
STARTED = re.compile(r"JobService started on (\S+:\d+)")


@contextmanager
def job_server(cluster: str, libraries: Path, log: Path) -> Iterator[str]:
    """Its host:port, once it listens."""
    with (
        log.open("wb") as file,
        subprocess.Popen(
            java_command(cluster, libraries, port=0, memory="2g"), stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline_s:
        if found := STARTED.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"the job server is not ready: {log.read_text(errors='replace')[-2000:]}")
