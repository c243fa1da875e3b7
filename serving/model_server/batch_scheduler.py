"""Queues of work that share some threads: what waits in one queue goes to a thread together, as a batch.

A batch goes when it is full, or when its first task has waited for as long as the queue allows and a thread is free.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import grpc

from serving.model_server.batching_parameters import BatchingParameters
from serving.model_server.status import StatusError, invalid_argument


class Sized(Protocol):
    @property
    def size(self) -> int:
        """In rows."""
        ...


TaskT = TypeVar("TaskT", bound=Sized)


@dataclass
class _Batch(Generic[TaskT]):
    tasks: list[TaskT] = field(default_factory=list)
    size: int = 0
    started_s: float = 0.0

    def add(self, task: TaskT) -> None:
        if not self.tasks:
            self.started_s = time.monotonic()
        self.tasks.append(task)
        self.size += task.size


class BatchQueue(Generic[TaskT]):
    """The batches of one signature of one version; made by :meth:`BatchScheduler.add_queue`."""

    def __init__(
        self, parameters: BatchingParameters, process: Callable[[list[TaskT]], None], changed: threading.Condition
    ) -> None:
        self._parameters = parameters
        self._changed = changed
        # The last one is open: it takes tasks. Those before it are full, and wait for a thread.
        self._batches: deque[_Batch[TaskT]] = deque([_Batch()])
        self.process = process

    def schedule(self, task: TaskT, split: Callable[[TaskT, Sequence[int]], list[TaskT]]) -> None:
        """Put a task in line; ``split`` makes tasks of given sizes of it where it has to be spread over batches.

        Raises StatusError INVALID_ARGUMENT for a task bigger than any may be, UNAVAILABLE where the queue is full.
        """
        limit = self._parameters.execution_limit
        with self._changed:
            self._check_capacity(task.size)
            room = limit - self._batches[-1].size
            pieces = [task]
            if self._parameters.max_execution_batch_size is not None and task.size > room:
                pieces = split(task, _piece_sizes(task.size, room, limit))
            for piece in pieces:
                if self._batches[-1].size + piece.size > limit:
                    self._batches.append(_Batch())
                self._batches[-1].add(piece)
            self._changed.notify()

    def take(self, now_s: float) -> list[TaskT]:
        """The tasks of a batch that is ready; none where there is no such batch. The scheduler's lock is held."""
        if len(self._batches) == 1 and self.ready_at_s() <= now_s:
            self._batches.append(_Batch())
        return self._batches.popleft().tasks if len(self._batches) > 1 else []

    def ready_at_s(self) -> float:
        """When, on the monotonic clock, the first batch is ready, if nothing is added. The scheduler's lock is held."""
        first = self._batches[0]
        if len(self._batches) > 1 or first.size >= self._parameters.execution_limit:
            return 0.0
        return first.started_s + self._parameters.batch_timeout_us / 1e6 if first.tasks else float("inf")

    def _check_capacity(self, size: int) -> None:
        parameters, open_size, enqueued = self._parameters, self._batches[-1].size, len(self._batches)
        if size > parameters.max_batch_size:
            raise invalid_argument(f"Task size {size} is larger than maximum input batch size {parameters.max_batch_size}")
        full = "The batch scheduling queue to which this task was submitted is full; "
        if parameters.max_execution_batch_size is None:
            if open_size + size > parameters.max_batch_size and enqueued >= parameters.max_enqueued_batches:
                raise StatusError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{full}currently {enqueued} batches enqueued and max_enqueued_batches is "
                    f"{parameters.max_enqueued_batches}",
                )
            return
        limit = parameters.max_execution_batch_size
        capacity = (parameters.max_enqueued_batches - enqueued) * limit + limit - open_size
        if size > capacity:
            raise StatusError(
                grpc.StatusCode.UNAVAILABLE,
                f"{full}task size is {size} but scheduling capacity is only {capacity} (num_enqueued_batches={enqueued}, "
                f"max_enqueued_batches={parameters.max_enqueued_batches}, open_batch_size={open_size}, "
                f"max_execution_batch_size={limit})",
            )


class BatchScheduler(Generic[TaskT]):
    """Threads that take batches from queues, from each in its turn."""

    def __init__(self, num_threads: int, thread_pool_name: str) -> None:
        self._changed = threading.Condition()
        self._queues: deque[BatchQueue[TaskT]] = deque()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{thread_pool_name}-{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add_queue(self, parameters: BatchingParameters, process: Callable[[list[TaskT]], None]) -> BatchQueue[TaskT]:
        """A new queue. ``process`` is given the tasks of each batch in one of the threads; it must not raise."""
        queue = BatchQueue(parameters, process, self._changed)
        with self._changed:
            self._queues.append(queue)
        return queue

    def remove_queue(self, queue: BatchQueue[TaskT]) -> None:
        """Forget a queue in which nothing waits any more."""
        with self._changed, contextlib.suppress(ValueError):
            self._queues.remove(queue)

    def close(self) -> None:
        """Let the threads end once what they are at is done; what still waits is not done."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            found = self._next_batch()
            if found is None:
                return
            process, tasks = found
            process(tasks)

    def _next_batch(self) -> tuple[Callable[[list[TaskT]], None], list[TaskT]] | None:
        """Wait for a batch that is ready; None when it is time to end."""
        with self._changed:
            while not self._is_closed:
                now_s = time.monotonic()
                for _ in range(len(self._queues)):
                    queue = self._queues[0]
                    self._queues.rotate(-1)
                    if tasks := queue.take(now_s):
                        # Another thread looks after what is left, while this one works.
                        self._changed.notify()
                        return queue.process, tasks
                ready_s = min((queue.ready_at_s() for queue in self._queues), default=float("inf"))
                self._changed.wait(None if ready_s == float("inf") else max(0.0, ready_s - now_s))
            return None


def _piece_sizes(size: int, room: int, limit: int) -> list[int]:
    """Fill the room that is left in the open batch, then whole batches, then what remains."""
    sizes = [room] if room else []
    while (left := size - sum(sizes)) > 0:
        sizes.append(min(left, limit))
    return sizes
