"""The writer as a child process: ends with the process that started it, even where that one is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The folder that holds the ``serving`` package: a child that starts there finds this very package, wherever it lies.
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def embedded_log_writer(
    workdir: Path, store_url: str, log_path: Path, flags: tuple[str, ...] = (), grace_s: float = 30.0
) -> Iterator[None]:
    """A writer, for as long as the context lasts; what it has gathered by then is written.

    Args:
      flags: further flags of the command line.
      grace_s: for what is gathered; what is not written then stays in the stream for the next writer.
    """
    command = [
        *(sys.executable, "-m", "serving.log_writer", "--stop_when_stdin_closes"),
        *(f"--workdir={workdir.resolve()}", f"--store_url={store_url}", "--consumer=embedded"),
        *flags,
    ]
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, cwd=_PACKAGE_ROOT, stdin=subprocess.PIPE, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
