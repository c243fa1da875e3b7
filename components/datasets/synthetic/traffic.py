"""When people come: slots of the day, sessions, requests."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from components.datasets.synthetic.config import MS_PER_DAY, MS_PER_HOUR, SyntheticConfig
from components.datasets.synthetic.users import DEVICE_SHARE, DEVICES, Users

SLOT_HOURS = 6
# Requests by hour of the day, UTC: a quiet night, a busy evening.
HOUR_WEIGHT = np.array([6, 4, 3, 2, 2, 3, 5, 9, 12, 13, 13, 14, 15, 14, 13, 13, 14, 16, 19, 22, 23, 21, 16, 10], np.float64)
WEEKEND_WEIGHT = 1.25
FIRST_SATURDAY_MS = 2 * MS_PER_DAY  # 1970-01-03
MEAN_REQUESTS, MAX_REQUESTS = 3.0, 8  # a session
MEAN_PAUSE_MS, MIN_PAUSE_MS, MAX_PAUSE_MS = 80_000, 5_000, 600_000
PREFERRED_DEVICE_SHARE = 0.85
MAX_CLICK_DELAY_MS = 120_000


@dataclass(frozen=True)
class Slot:
    """A stretch of a quarter of a day. ``until_share``: of all requests, those until its end."""

    number: int
    start_ms: int
    end_ms: int
    until_share: float


@dataclass(frozen=True)
class Requests:
    """``[n]`` requests: who asked for a list, when, on what. In the order of time where not said otherwise."""

    time_ms: np.ndarray
    user: np.ndarray
    device: np.ndarray

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, rows: np.ndarray | slice) -> "Requests":
        return Requests(self.time_ms[rows], self.user[rows], self.device[rows])

    def merge(self, other: "Requests") -> "Requests":
        """All of both, in the order of time."""
        time_ms = np.concatenate([self.time_ms, other.time_ms])
        both = Requests(time_ms, np.concatenate([self.user, other.user]), np.concatenate([self.device, other.device]))
        return both.take(np.argsort(time_ms, kind="stable"))


NO_REQUESTS = Requests(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def slots(config: SyntheticConfig) -> Iterator[Slot]:
    """The slots of the period, in order; the last one has ``until_share`` 1."""
    starts_ms = np.arange(config.start_ms, config.end_ms, SLOT_HOURS * MS_PER_HOUR)
    weights = HOUR_WEIGHT.reshape(-1, SLOT_HOURS).sum(axis=1)[starts_ms % MS_PER_DAY // (SLOT_HOURS * MS_PER_HOUR)]
    weekend = (starts_ms - FIRST_SATURDAY_MS) % (7 * MS_PER_DAY) < 2 * MS_PER_DAY
    until = np.cumsum(weights * np.where(weekend, WEEKEND_WEIGHT, 1.0))
    for number, start_ms in enumerate(starts_ms.tolist()):
        yield Slot(number, start_ms, start_ms + SLOT_HOURS * MS_PER_HOUR, float(until[number] / until[-1]))


def draw_requests(users: Users, slot: Slot, count: int, period_end_ms: int, rng: np.random.Generator) -> Requests:
    """``count`` requests, in no order, of sessions that start in the slot; the last ones may fall behind its end.

    Only people who had arrived when the slot began come. No request is so late that a click on it could fall behind
    the end of the period.
    """
    sizes = np.minimum(rng.geometric(1 / MEAN_REQUESTS, count), MAX_REQUESTS)
    session_count = int(np.searchsorted(np.cumsum(sizes), count)) + 1 if count else 0
    session = np.repeat(np.arange(session_count), sizes[:session_count])[:count]
    present = int(np.searchsorted(users.created_ms, slot.start_ms, side="right"))
    activity_until = np.cumsum(users.activity[:present])
    user = np.searchsorted(activity_until, rng.random(session_count) * activity_until[-1], side="right")
    hour_weight = HOUR_WEIGHT[(slot.start_ms // MS_PER_HOUR + np.arange(SLOT_HOURS)) % 24]
    hour = rng.choice(SLOT_HOURS, session_count, p=hour_weight / hour_weight.sum())
    start_ms = slot.start_ms + ((hour + rng.random(session_count)) * MS_PER_HOUR).astype(np.int64)

    pause_ms = np.clip(rng.exponential(MEAN_PAUSE_MS, count), MIN_PAUSE_MS, MAX_PAUSE_MS).astype(np.int64)
    first = np.searchsorted(session, np.arange(session_count))
    since_ms = np.cumsum(pause_ms)
    time_ms = start_ms[session] + since_ms - since_ms[first][session]
    last_ms = np.zeros(session_count, np.int64)
    np.maximum.at(last_ms, session, time_ms)
    time_ms -= np.maximum(last_ms - (period_end_ms - MAX_CLICK_DELAY_MS - 1), 0)[session]

    other = rng.choice(len(DEVICES), session_count, p=DEVICE_SHARE)
    device = np.where(rng.random(session_count) < PREFERRED_DEVICE_SHARE, users.device[user], other)
    return Requests(time_ms, user[session], device[session])
