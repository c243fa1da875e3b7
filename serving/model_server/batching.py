"""A servable whose runs are put together with those of other requests."""

import concurrent.futures
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from serving.model_server.batch_merge import Feeds, batch_size, merge, split
from serving.model_server.batch_scheduler import BatchQueue, BatchScheduler
from serving.model_server.batching_parameters import PER_MODEL_FILE, BatchingParameters, read_batching_parameters
from serving.model_server.metrics import Metrics, now_us
from serving.model_server.servable import Servable
from serving.model_server.signature import Signature
from serving.model_server.status import StatusError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BatchTask:
    """One request, or a piece of one: ``size`` rows, and where its outputs go."""

    feeds: Feeds
    size: int
    timeout_s: float | None
    enqueued_us: int = field(default_factory=now_us)
    outputs: concurrent.futures.Future[dict[str, np.ndarray]] = field(default_factory=concurrent.futures.Future)

    def is_late(self) -> bool:
        return self.timeout_s is not None and now_us() - self.enqueued_us >= self.timeout_s * 1e6


class BatchingServable:
    """A :class:`serving.model_server.servable.Servable` around another one.

    There is a queue for each signature. A run that does not feed and fetch all of a signature's tensors, such as one
    with an output filter, matches none and goes straight to the model.
    """

    def __init__(
        self,
        servable: Servable,
        parameters: BatchingParameters,
        scheduler: BatchScheduler[BatchTask],
        metrics: Metrics,
    ) -> None:
        self._servable = servable
        self._parameters = parameters
        self._scheduler = scheduler
        self._metrics = metrics
        self._queues: dict[tuple[frozenset[str], frozenset[str]], BatchQueue[BatchTask]] = {}
        for signature in servable.signatures.values():
            if signature.is_plain:
                feeds = frozenset(slot.tensor_name for slot in signature.inputs.values())
                fetches = frozenset(slot.tensor_name for slot in signature.outputs.values())
                if (feeds, fetches) not in self._queues:
                    self._queues[feeds, fetches] = scheduler.add_queue(parameters, self._processor(sorted(fetches)))

    @property
    def signatures(self) -> Mapping[str, Signature]:
        return self._servable.signatures

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        return self._servable.signature_defs

    def run(self, feeds: Feeds, fetches: Sequence[str], timeout_s: float | None = None) -> list[np.ndarray]:
        queue = self._queues.get((frozenset(feeds), frozenset(fetches)))
        if queue is None:
            return self._servable.run(feeds, fetches, timeout_s)
        task = BatchTask(feeds, batch_size(feeds), timeout_s)
        pieces = [task]

        def in_pieces(whole: BatchTask, sizes: Sequence[int]) -> list[BatchTask]:
            pieces[:] = _in_pieces(whole, sizes)
            return pieces

        queue.schedule(task, in_pieces)
        self._metrics.input_batch_size.add(task.size)
        done = [piece.outputs.result() for piece in pieces]
        if len(done) == 1:
            return [done[0][name] for name in fetches]
        return [np.concatenate([outputs[name] for outputs in done]) for name in fetches]

    def close(self) -> None:
        for queue in self._queues.values():
            self._scheduler.remove_queue(queue)
        self._servable.close()

    def _processor(self, fetches: Sequence[str]) -> Callable[[list[BatchTask]], None]:
        def process(tasks: list[BatchTask]) -> None:
            try:
                results = self._run_batch(tasks, fetches)
            except StatusError as error:
                for task in tasks:
                    task.outputs.set_exception(StatusError(error.code, error.message))
            except Exception as error:  # each waiting request must hear of it, whatever it is
                _log.exception("a batch failed")
                for task in tasks:
                    task.outputs.set_exception(StatusError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))
            else:
                for task, outputs in zip(tasks, results, strict=True):
                    task.outputs.set_result(dict(zip(fetches, outputs, strict=True)))

        return process

    def _run_batch(self, tasks: Sequence[BatchTask], fetches: Sequence[str]) -> list[list[np.ndarray]]:
        for task in tasks:
            self._metrics.queuing_latency.add(now_us() - task.enqueued_us, self._parameters.thread_pool_name)
        if all(task.is_late() for task in tasks):
            raise StatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
        sizes = [task.size for task in tasks]
        size = sum(sizes)
        rows = self._parameters.allowed_size(size) if size else 0
        self._metrics.processed_batch_size.add(rows)
        self._metrics.padding_size.add(rows - size, str(rows))
        feeds = merge([task.feeds for task in tasks], size, self._parameters)
        try:
            outputs = self._servable.run(feeds, fetches, _longest([task.timeout_s for task in tasks]))
        finally:
            self._metrics.wrapped_run_count.increment()
        return split(outputs, sizes, rows)


class Batcher:
    """Puts servables behind queues that share the threads of one pool."""

    def __init__(self, parameters: BatchingParameters, metrics: Metrics, *, is_per_model: bool) -> None:
        """With ``is_per_model``, ``parameters`` give the pool alone: each version brings its own, or is not batched."""
        self._parameters = parameters
        self._metrics = metrics
        self._is_per_model = is_per_model
        self._scheduler: BatchScheduler[BatchTask] = BatchScheduler(parameters.num_batch_threads, parameters.thread_pool_name)

    def wrap(self, servable: Servable, folder: Path) -> Servable:
        """The version of ``folder`` behind queues. Raises ServingError where the parameters that it brings are wrong."""
        parameters = self._parameters
        if self._is_per_model:
            path = folder / PER_MODEL_FILE
            if not path.is_file():
                return servable
            parameters = read_batching_parameters(path)
        return BatchingServable(servable, parameters, self._scheduler, self._metrics)

    def close(self) -> None:
        self._scheduler.close()


def _in_pieces(task: BatchTask, sizes: Sequence[int]) -> list[BatchTask]:
    starts = itertools.accumulate(sizes[:-1], initial=0)
    return [
        BatchTask(
            {name: array[start : start + size] for name, array in task.feeds.items()}, size, task.timeout_s, task.enqueued_us
        )
        for start, size in zip(starts, sizes, strict=True)
    ]


def _longest(timeouts_s: Sequence[float | None]) -> float | None:
    """The batch may take as long as the most patient of its requests waits."""
    known = [timeout_s for timeout_s in timeouts_s if timeout_s is not None]
    return max(known) if len(known) == len(timeouts_s) else None
