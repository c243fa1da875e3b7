"""Features of the moment of a request, by the UTC calendar."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from components.schema.events import MS_PER_DAY, MS_PER_HOUR


def hour(moment_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    return moment_ms // MS_PER_HOUR % 24


def weekday(moment_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 is Monday; 1970-01-01 was a Thursday."""
    return (moment_ms // MS_PER_DAY + 3) % 7


CALENDAR: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {"hour": hour, "weekday": weekday}
