"""Which release is to be served, and what becomes of one that cannot be."""

import logging
import math
import time
from collections.abc import Callable

from components.errors import ArtifactError, ConfigError, WinnowError

RETRY_S = 10.0
REFUSED_S = 60.0  # to verify a release takes as long as to read all of it
_log = logging.getLogger(__name__)


class ReleaseWatch:
    """Takes up the current release; where it cannot be, the one that is served stays.

    One that is damaged is refused; it is tried again all the same, since its files may be mended. One that does not fit the
    settings is not, till another one has been current. Whatever else keeps a release from being taken up may soon pass, a
    model server that is away among it. The pause before the next try ends early when another release has been the current
    one in between.

    Args:
      current: the version that is to be served, None where there is none.
      served: the version that is.
      take_up: has a version served, or raises.
      retry_s, refused_s: pauses before a version is tried again.
    """

    def __init__(
        self,
        current: Callable[[], int | None],
        served: Callable[[], int],
        take_up: Callable[[int], None],
        retry_s: float = RETRY_S,
        refused_s: float = REFUSED_S,
    ) -> None:
        self._current, self._served, self._take_up = current, served, take_up
        self._retry_s, self._refused_s = retry_s, refused_s
        self._failed: int | None = None
        self._again_s = 0.0

    def look(self) -> None:
        """Whatever keeps the current release from being taken up is logged, once."""
        version = self._current()
        if version is None or version == self._served():
            self._failed = None
            return
        if version == self._failed and time.monotonic() < self._again_s:
            return
        try:
            self._take_up(version)
        except ArtifactError as error:
            self._put_off(version, self._refused_s, "is refused", error)
        except ConfigError as error:
            self._put_off(version, math.inf, "is refused", error)
        except Exception as error:  # whatever it is, the releases after this one are to be taken up
            self._put_off(version, self._retry_s, "cannot be taken up yet", error)
        else:
            self._failed = None
            _log.info("release %s is served", version)

    def _put_off(self, version: int, pause_s: float, verdict: str, error: Exception) -> None:
        if version != self._failed:
            trace = None if isinstance(error, WinnowError) else error
            again = "not tried again" if pause_s == math.inf else f"tried again every {pause_s:g} s"
            _log.error("release %s %s, %s stays, %s: %s", version, verdict, self._served(), again, error, exc_info=trace)
        self._failed, self._again_s = version, time.monotonic() + pause_s
