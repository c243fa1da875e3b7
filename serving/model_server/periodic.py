"""Something done again and again, in a thread of its own, until it is time to stop."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Periodic:
    """Calls ``function`` every ``interval_s`` seconds until ``stopping`` is set; 0 means never."""

    def __init__(self, name: str, function: Callable[[], None], interval_s: float, stopping: threading.Event) -> None:
        self._function = function
        self._interval_s = interval_s
        self._stopping = stopping
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        if self._interval_s:
            self._thread.start()

    def join(self) -> None:
        """Wait for the end of the call under way, if there is one; ``stopping`` must be set."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._function()
            except Exception:  # the next time may go well, and there must be a next time
                _log.exception("%s failed", self._thread.name)
