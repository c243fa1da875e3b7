"""A child process that ends uninvited is started again, at the address that it had."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.errors import ServingError

LOOK_S = 0.5  # between two looks at a child that runs
MAX_PAUSE_S = 30.0  # before one that keeps ending is started again
STEADY_S = 60.0  # one that has run for so long has got over it
_log = logging.getLogger(__name__)


@contextmanager
def kept_running(name: str, running: Callable[[], bool], restart: Callable[[], object]) -> Iterator[None]:
    """As long as the context lasts. A child that ends at once each time is started ever more rarely.

    Args:
      name: what a person calls it, for the log.
      running: OSError where it cannot be told now.
      restart: waits till the child is ready; ServingError or OSError where it does not come up.
    """
    leaving = threading.Event()

    def watch() -> None:
        pause_s, started = LOOK_S, time.monotonic()
        while not leaving.wait(pause_s):
            try:
                if running():
                    if time.monotonic() - started > STEADY_S:
                        pause_s = LOOK_S
                    continue
                _log.error("the %s has ended uninvited, it is started again", name)
                restart()
            except (ServingError, OSError) as error:
                _log.error("%s: %s", name, error)
            pause_s, started = min(2 * pause_s, MAX_PAUSE_S), time.monotonic()

    watcher = threading.Thread(target=watch, name=f"keeps the {name} running", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        leaving.set()
        watcher.join()
