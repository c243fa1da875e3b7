"""Which release is to be served, and what becomes of one that cannot be."""

import logging
import math
import time
from collections.abc import Callable

from components.errors import ArtifactError, ConfigError, ServingError

RETRY_S = 10.0
_log = logging.getLogger(__name__)


class ReleaseWatch:
    """Takes up the current release; where it cannot be, the one that is served stays.

    A release that is damaged, or that does not fit the settings, is refused for good. Whatever else keeps it from being
    taken up may pass, a model server that is away among it: it is tried again after a pause.

    Args:
      current: the version that is to be served, None where there is none.
      served: the version that is.
      take_up: has a version served, or raises.
    """

    def __init__(
        self,
        current: Callable[[], int | None],
        served: Callable[[], int],
        take_up: Callable[[int], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._current, self._served, self._take_up, self._retry_s = current, served, take_up, retry_s
        self._failed: int | None = None
        self._again_s = 0.0

    def look(self) -> None:
        version = self._current()
        if version is None or version == self._served():
            return
        if version == self._failed and time.monotonic() < self._again_s:
            return
        try:
            self._take_up(version)
        except (ArtifactError, ConfigError) as error:
            _log.error("release %s is refused, %s stays: %s", version, self._served(), error)
            self._failed, self._again_s = version, math.inf
        except Exception as error:  # whatever it is, the releases after this one are to be taken up
            if version != self._failed:
                trace = None if isinstance(error, ServingError) else error
                message = "release %s cannot be taken up yet, %s stays, tried again every %g s: %s"
                _log.error(message, version, self._served(), self._retry_s, error, exc_info=trace)
            self._failed, self._again_s = version, time.monotonic() + self._retry_s
        else:
            self._failed = None
            _log.info("release %s is served", version)
