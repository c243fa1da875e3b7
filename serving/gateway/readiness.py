"""Whether what the gateway stands on answers, asked by whoever likes and found out by one at a time."""

import threading
import time
from collections.abc import Callable

VALID_S = 0.5


class Readiness:
    """Threads share one. Callers that come while one finds out, or right after, get what was last found.

    Args:
      ask: finds out; it may take its time when something is away.
    """

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask, self._asking = ask, threading.Lock()
        self._ready, self._valid_until_s = False, 0.0

    def __call__(self) -> bool:
        if self._asking.acquire(blocking=False):
            try:
                if time.monotonic() >= self._valid_until_s:
                    self._ready = self._ask()
                    self._valid_until_s = time.monotonic() + VALID_S
            finally:
                self._asking.release()
        return self._ready
