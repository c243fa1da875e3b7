"""The writer as a child process, beside an embedded store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.child_process import ChildProcess
from serving.kept_running import kept_running

_STARTUP_TIMEOUT_S = 60.0


@contextmanager
def embedded_log_writer(
    workdir: Path, store_url: str, log_path: Path, flags: tuple[str, ...] = (), grace_s: float = 30.0
) -> Iterator[None]:
    """A writer, for as long as the context lasts, started again where it ends; what it has gathered by then is written.

    Args:
      flags: further flags of the command line.
      grace_s: for what is gathered; what is not written then stays in the stream for the next writer.

    Raises:
      ServingError: it does not start.
    """
    needed = (f"--workdir={workdir.resolve()}", f"--store_url={store_url}", "--consumer=embedded")
    child = ChildProcess("log writer", "serving.log_writer", [*needed, *flags], log_path, _STARTUP_TIMEOUT_S, grace_s)
    child.start()
    try:
        with kept_running("log writer", lambda: child.running, child.restart):
            yield
    finally:
        child.stop()
