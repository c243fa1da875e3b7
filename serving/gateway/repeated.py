"""Something done time and again behind the requests."""

import logging
import threading
from collections.abc import Callable

from components.errors import WinnowError

_log = logging.getLogger(__name__)


class Repeated:
    """Does a task in a thread of its own till it is closed, with a pause before each time.

    Whatever the task raises ends that time alone. It is logged when it comes, not each time that it comes again.
    """

    def __init__(self, name: str, task: Callable[[], None], pause_s: float) -> None:
        self._name, self._task, self._pause_s = name, task, pause_s
        self._closing = threading.Event()
        self._failure: type[Exception] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends when the task under way has ended."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._pause_s):
            try:
                self._task()
                self._failure = None
            except Exception as error:  # a thread that ends is missed by nobody till what it did is
                if type(error) is not self._failure:
                    trace = None if isinstance(error, WinnowError) else error
                    _log.warning("%s: %s; tried again every %g s", self._name, error, self._pause_s, exc_info=trace)
                self._failure = type(error)
