"""What the stream tier counts and measures, for Prometheus. Times are in seconds."""

import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Summary, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from components.errors import ConfigError, ServingError
from components.schema.trends import Manifest
from serving.log_writer.online_log import LogFile


class StreamMetrics(Collector):
    """All that one process measures; the lag is of the moment at which it is asked for, also while a batch is stuck."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("winnow_stream_events", "Events by what became of them", ("outcome",), registry=self.registry)
        self._batch_seconds = Summary("winnow_stream_batch_seconds", "From a claim to its commit", registry=self.registry)
        self._pending: Sequence[LogFile] = ()
        self._batch = 0
        self.registry.register(self)

    def serve(self, address: str) -> None:
        """Answer at HOST:PORT, in a thread.

        Raises:
          ConfigError: the address is none.
          ServingError: it cannot be listened on.
        """
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"--metrics: found {address!r}, wanted HOST:PORT, such as 127.0.0.1:9102")
        try:
            start_http_server(int(port), host.strip("[]"), self.registry)
        except (OSError, OverflowError) as error:
            raise ServingError(f"--metrics {address} cannot be listened on ({error}); choose another") from error

    def waiting(self, pending: Sequence[LogFile]) -> None:
        self._pending = pending

    def committed(self, manifest: Manifest, seconds: float) -> None:
        done = set(manifest.files)
        self._pending = [file for file in self._pending if file.name not in done]
        self._batch = manifest.batch
        self._batch_seconds.observe(seconds)
        for outcome in ("event", "repeat", "late", "ahead"):
            self._events.labels(outcome).inc(getattr(manifest, f"{outcome}_count"))

    def collect(self) -> Iterator[Metric]:
        pending = self._pending
        lag_s = time.time() - min(file.first_ms for file in pending) / 1000 if pending else 0.0
        yield GaugeMetricFamily("winnow_stream_lag_seconds", "Age of the oldest entry that is not counted", max(0.0, lag_s))
        yield GaugeMetricFamily("winnow_stream_pending_files", "Files of the online log that are not counted", len(pending))
        yield GaugeMetricFamily("winnow_stream_batch", "Number of the batch that this process committed last", self._batch)
