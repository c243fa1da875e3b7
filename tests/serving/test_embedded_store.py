"""The embedded store has its folder to itself, for as long as it runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from components.errors import ServingError
from serving.embedded_store import embedded_store

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys; from pathlib import Path; from serving.embedded_store import embedded_store\n"
    "with embedded_store(Path(sys.argv[1])) as url: print(url, flush=True); sys.stdin.read()"
)


def test_a_second_store_on_a_folder_is_refused(tmp_path: Path) -> None:
    wanted = f"{tmp_path}: another process serves the store that lies there; use the address .* or serve another --workdir"
    with embedded_store(tmp_path), pytest.raises(ServingError, match=wanted), embedded_store(tmp_path):
        pass
    with embedded_store(tmp_path):
        pass


def test_another_process_has_the_folder_until_it_dies_and_then_its_server_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        orphan = process.stdout.readline().decode().strip()
        with pytest.raises(ServingError, match="another process serves"), embedded_store(tmp_path):
            pass
        process.kill()
    with redis.Redis.from_url(orphan) as client:
        client.set("written", "yes")  # its server lives on
        with embedded_store(tmp_path) as url, redis.Redis.from_url(url) as again:
            assert again.get("written") == b"yes"
            with pytest.raises(redis.ConnectionError):
                client.ping()


def test_a_server_that_is_killed_comes_back_with_its_data(tmp_path: Path, eventually: Callable[..., None]) -> None:
    with embedded_store(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("written", "yes")
        first = client.info("server")["process_id"]
        os.kill(first, signal.SIGKILL)

        def is_back() -> bool:
            try:
                return client.info("server")["process_id"] != first
            except redis.ConnectionError:
                return False

        eventually(is_back, "another server at the same address")
        assert client.get("written") == b"yes"
