"""One of our servers as a child process.

It says in one line of JSON on its standard output that it is ready, and ends with the process that started it.
"""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.errors import ServingError

_LOG_TAIL_CHARS = 2000
# The folder that holds the ``serving`` package: a child that starts there finds this very package, wherever it lies.
_PACKAGE_ROOT = Path(__file__).resolve().parents[1]


class ChildProcess:
    """``python -m module`` with its log in a file.

    Args:
      name: what a person calls it, for errors.
      grace_s: how long after SIGTERM it is killed.
    """

    def __init__(
        self, name: str, module: str, flags: Sequence[str], log_path: Path, startup_timeout_s: float, grace_s: float
    ) -> None:
        self._name, self._log_path = name, log_path
        self._command = [sys.executable, "-m", module, *flags, "--stop_when_stdin_closes"]
        self._startup_timeout_s, self._grace_s = startup_timeout_s, grace_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> dict[str, Any]:
        """Start it, with further flags, and wait till it is ready; what it said then.

        Raises:
          ServingError: with the end of its log, where it ends first or takes too long.
        """
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *flags], cwd=_PACKAGE_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        try:
            return self._said(self._process)
        except BaseException:
            self.stop()
            raise

    def restart(self, *flags: str) -> dict[str, Any]:
        """The same for one that has ended, or is to end now."""
        self.stop()
        return self.start(*flags)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> int | None:
        """End it and wait for its end; its exit status, None where it was not running."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _said(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        if process.stdout is None:
            raise AssertionError("the child's stdout is a pipe")
        said = select.poll()  # not select, which takes no number above 1,023
        said.register(process.stdout, select.POLLIN)
        if not said.poll(self._startup_timeout_s * 1000):
            raise ServingError(
                f"the {self._name} was not ready within {self._startup_timeout_s:g} s; "
                f"allow it more time, or see why in its log, which ends with:\n{_tail(self._log_path)}"
            )
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            raise ServingError(f"the {self._name} ended with status {code} before it was ready:\n{_tail(self._log_path)}")
        return dict(json.loads(line))


def when_stdin_closes(act: Callable[[], None]) -> None:
    """For the child's side: call ``act``, in a thread of its own, when the process that started this one is gone."""

    def wait() -> None:
        # Not sys.stdin: a thread that waits within its lock when the interpreter ends would bring the process down.
        while os.read(0, 4096):
            pass
        act()

    threading.Thread(target=wait, daemon=True).start()


def _tail(log_path: Path) -> str:
    with log_path.open("rb") as log:
        size_bytes = log.seek(0, os.SEEK_END)
        log.seek(max(0, size_bytes - _LOG_TAIL_CHARS))
        return log.read().decode("utf-8", "replace").strip()
