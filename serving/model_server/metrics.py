"""What the server counts and measures, under TensorFlow Serving's names. Nothing is shown of it unless that is asked for."""

import bisect
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from serving.model_server.status import StatusError

# A client that asks for ever other models must not fill the memory: what is beyond is not counted.
_MAX_CELLS = 10_000


class Counter:
    """Numbers that only grow, one for each combination of label values."""

    def __init__(self, name: str, labels: tuple[str, ...]) -> None:
        self.name = name
        self.labels = labels
        self._values: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def increment(self, *label_values: str, by: int = 1) -> None:
        with self._lock:
            if label_values in self._values or len(self._values) < _MAX_CELLS:
                self._values[label_values] = self._values.get(label_values, 0) + by

    def cells(self) -> dict[tuple[str, ...], int]:
        """The counts by label values, in the order of these."""
        with self._lock:
            return dict(sorted(self._values.items()))


class Histogram:
    """How many values fell below each limit and at or above the one before, and the sum of all values."""

    def __init__(self, limits: tuple[float, ...]) -> None:
        """``limits`` grow; above the last there is one more bucket, without a limit."""
        self.limits = limits
        self.counts = [0] * (len(limits) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_right(self.limits, value)] += 1
        self.sum += value


class Sampler:
    """Histograms, one for each combination of label values."""

    def __init__(self, name: str, labels: tuple[str, ...], limits: tuple[float, ...]) -> None:
        self.name = name
        self.labels = labels
        self._limits = limits
        self._histograms: dict[tuple[str, ...], Histogram] = {}
        self._lock = threading.Lock()

    def add(self, value: float, *label_values: str) -> None:
        with self._lock:
            if label_values in self._histograms or len(self._histograms) < _MAX_CELLS:
                self._histograms.setdefault(label_values, Histogram(self._limits)).add(value)

    def cells(self) -> dict[tuple[str, ...], Histogram]:
        """Copies of the histograms by label values, in the order of these."""
        with self._lock:
            return {labels: self._copy(histogram) for labels, histogram in sorted(self._histograms.items())}

    @staticmethod
    def _copy(histogram: Histogram) -> Histogram:
        copy = Histogram(histogram.limits)
        copy.counts = list(histogram.counts)
        copy.sum = histogram.sum
        return copy


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """``count`` limits: scale, scale · growth, scale · growth², …"""
    return tuple(itertools.accumulate(range(count - 1), lambda limit, _: limit * growth, initial=scale))


_LATENCY_LIMITS_US = exponential(10, 1.8, 33)


class Metrics:
    """All that one server measures. Times are in microseconds."""

    def __init__(self) -> None:
        serving = "/tensorflow/serving"
        loading = "/tensorflow/cc/saved_model"
        latency_labels = ("model_name", "API", "entrypoint")
        self.request_count = Counter(f"{serving}/request_count", ("model_name", "status"))
        self.request_latency = Sampler(f"{serving}/request_latency", latency_labels, _LATENCY_LIMITS_US)
        self.runtime_latency = Sampler(f"{serving}/runtime_latency", ("model_name", "API", "runtime"), _LATENCY_LIMITS_US)
        self.example_counts = Sampler(f"{serving}/request_example_counts", ("model",), exponential(1, 2, 15))
        self.example_count_total = Counter(f"{serving}/request_example_count_total", ("model",))
        self.warmup_latency = Sampler(f"{serving}/model_warmup_latency", ("model_path", "status"), _LATENCY_LIMITS_US)
        self.load_attempt_count = Counter(f"{loading}/load_attempt_count", ("model_path", "status"))
        batching = f"{serving}/batching_session"
        sizes = exponential(1, 2, 20)
        self.queuing_latency = Sampler(f"{batching}/queuing_latency", ("thread_pool_name",), exponential(100, 1.2, 52))
        self.input_batch_size = Sampler(f"{batching}/input_batch_size", (), sizes)
        self.processed_batch_size = Sampler(f"{batching}/processed_batch_size", (), sizes)
        self.padding_size = Sampler(f"{batching}/padding_size", ("execution_batch_size",), sizes)
        self.wrapped_run_count = Counter(f"{batching}/wrapped_run_count", ())
        self.load_latency = Counter(f"{loading}/load_latency", ("model_path",))

    def all(self) -> list[Counter | Sampler]:
        """Every metric, by name."""
        return sorted(vars(self).values(), key=lambda metric: metric.name)

    def counter_value(self, name: str) -> int:
        """The first count of a counter; 0 where there is none, or no such counter."""
        found = next((metric for metric in self.all() if metric.name == name), None)
        return next(iter(found.cells().values()), 0) if isinstance(found, Counter) else 0

    @contextmanager
    def request(self, model_name: str, api: str, entrypoint: str) -> Iterator[None]:
        """Count a request by how it ends, and time it where it ends well."""
        started_us = now_us()
        status = "OK"
        try:
            yield
            self.request_latency.add(now_us() - started_us, model_name, api, entrypoint)
        except StatusError as error:
            status = error.code.name
            raise
        except Exception:
            status = "INTERNAL"
            raise
        finally:
            self.request_count.increment(model_name, status)

    @contextmanager
    def runtime(self, model_name: str, api: str) -> Iterator[None]:
        """Time a run of a model that ends well."""
        started_us = now_us()
        yield
        self.runtime_latency.add(now_us() - started_us, model_name, api, "TF1")

    def count_examples(self, model_name: str, count: int) -> None:
        self.example_counts.add(count, model_name)
        self.example_count_total.increment(model_name, by=count)


def now_us() -> int:
    """Microseconds of a clock that only goes forward."""
    return time.monotonic_ns() // 1000
