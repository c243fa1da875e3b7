"""The order to end that a server waits for: from a signal, or from the end of the process that started it."""

import signal
from queue import Empty, SimpleQueue

from serving.child_process import when_stdin_closes


class Ending:
    """What ``threading.Event`` is to threads, for signal handlers too.

    A handler runs in the main thread between any two of its instructions. Within ``Event.wait`` that thread holds the lock that
    ``Event.set`` takes, so that a handler that comes there would wait for itself for ever; ``SimpleQueue.put`` may interrupt
    any other call.
    """

    def __init__(self) -> None:
        self._orders: SimpleQueue[None] = SimpleQueue()
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._orders.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until it is set, or for so long; whether it is set."""
        if not self._is_set:
            try:
                self._orders.get(timeout=timeout_s)
                self._orders.put(None)  # for whoever else waits
            except Empty:
                pass
        return self._is_set


def ending_by_order(stop_when_stdin_closes: bool) -> Ending:
    """One that SIGTERM and SIGINT set from now on, and the end of standard input where that is asked for."""
    ending = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    if stop_when_stdin_closes:
        when_stdin_closes(ending.set)
    return ending
