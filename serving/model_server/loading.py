"""From a version's folder to a servable that is ready for requests."""

from pathlib import Path

from serving.model_server.batching import Batcher
from serving.model_server.metrics import Metrics, now_us
from serving.model_server.saved_model import SavedModelServable, SessionOptions
from serving.model_server.servable import Servable
from serving.model_server.warmup import warm_up


class Loader:
    """Loads versions, and warms each up before it takes requests."""

    def __init__(
        self, metrics: Metrics, session_options: SessionOptions, batcher: Batcher | None, warmup_iterations: int
    ) -> None:
        """``batcher`` puts the versions behind queues; without one, each request is a run of its own.

        ``warmup_iterations`` is how often each recorded request is run, 0 for no warm-up.
        """
        self._metrics = metrics
        self._session_options = session_options
        self._batcher = batcher
        self._warmup_iterations = warmup_iterations

    def load(self, model_name: str, folder: Path) -> Servable:
        """The version in ``folder``.

        Raises what loading or any of its warm-up requests raises: a version that fails those is not fit to serve.
        """
        started_us = now_us()
        try:
            servable = SavedModelServable(folder, self._session_options)
        except Exception:
            self._metrics.load_attempt_count.increment(str(folder), "fail")
            raise
        self._metrics.load_attempt_count.increment(str(folder), "success")
        self._metrics.load_latency.increment(str(folder), by=now_us() - started_us)
        try:
            if self._warmup_iterations:
                warm_up(servable, folder, self._metrics, self._warmup_iterations)
            return servable if self._batcher is None else self._batcher.wrap(servable, folder)
        except BaseException:
            servable.close()
            raise
