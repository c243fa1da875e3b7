"""What people do with the lists that they are shown: they look, they click, they stay."""

from dataclasses import dataclass, fields

import numpy as np

from components.datasets.synthetic.config import MS_PER_HOUR
from components.datasets.synthetic.policy import POSITION_COUNT, Shelf, draw_lists
from components.datasets.synthetic.traffic import MAX_CLICK_DELAY_MS, Requests
from components.datasets.synthetic.users import DEVICES
from components.datasets.synthetic.world import World, true_preference

# Position k, from 0, is looked at with probability (k + 1) ** -steepness: the smaller the screen, the steeper.
EXAMINATION_STEEPNESS = {"desktop": 0.45, "mobile": 0.75, "tablet": 0.6}
EXAMINATION_PROB = np.array(
    [(np.arange(POSITION_COUNT) + 1.0) ** -EXAMINATION_STEEPNESS[device] for device in DEVICES], np.float32
)
DWELL_S, DWELL_SLOPE, DWELL_SPREAD, MAX_DWELL_S = 20.0, 0.8, 0.6, 1800.0
READING_MS, MEAN_THINKING_MS = 1200, 4000
MEAN_DELAY_MS = 400
LATE_SHARE, MAX_LATE_HOURS = 0.005, 12


@dataclass(frozen=True)
class EventBlock:
    """``[rows]`` events in the order of time.

    Attributes:
      event, request: numbers from 0, in the order of time.
      user, item, device: indices.
      is_click: bool; the other events are impressions.
      dwell_s: float32, of clicks; NaN for impressions.
      timestamp_ms, received_ms: int64 UTC.
      position: int32 from 0.
      propensity: float32, of impressions; NaN for clicks.
      click_prob, preference: float32, the truth; of impressions, or of the clicked impression.
      is_repeat: bool: the row is the duplicate of the one before it.
    """

    event: np.ndarray
    request: np.ndarray
    user: np.ndarray
    item: np.ndarray
    device: np.ndarray
    is_click: np.ndarray
    dwell_s: np.ndarray
    timestamp_ms: np.ndarray
    received_ms: np.ndarray
    position: np.ndarray
    propensity: np.ndarray
    click_prob: np.ndarray
    preference: np.ndarray
    is_repeat: np.ndarray

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: np.ndarray | slice) -> "EventBlock":
        return EventBlock(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def play(
    world: World, shelf: Shelf, requests: Requests, first_event: int, first_request: int, rng: np.random.Generator
) -> EventBlock:
    """Answer requests and see what comes of it.

    A click: the position is looked at, and the user, looking, wants the item; independent of each other. Dwell:
    log-normal, its median growing with the preference.
    """
    shown, propensity = draw_lists(world, shelf, requests.user, rng)
    preference = true_preference(world, requests.user, shown, requests.time_ms)
    click_prob = preference * EXAMINATION_PROB[requests.device]
    impressions = EventBlock(
        event=np.arange(shown.size),
        request=np.repeat(first_request + np.arange(len(requests)), POSITION_COUNT),
        user=np.repeat(requests.user, POSITION_COUNT),
        item=shown.ravel(),
        device=np.repeat(requests.device, POSITION_COUNT),
        is_click=np.zeros(shown.size, np.bool_),
        dwell_s=np.full(shown.size, np.nan, np.float32),
        timestamp_ms=np.repeat(requests.time_ms, POSITION_COUNT),
        received_ms=np.zeros(shown.size, np.int64),
        position=np.tile(np.arange(POSITION_COUNT, dtype=np.int32), len(requests)),
        propensity=propensity.ravel().astype(np.float32),
        click_prob=click_prob.ravel(),
        preference=preference.ravel(),
        is_repeat=np.zeros(shown.size, np.bool_),
    )
    clicked = np.flatnonzero(rng.random(shown.size, np.float32) < impressions.click_prob)
    return _in_order(impressions, clicked, first_event, world.config.duplicate_share, rng)


def _in_order(
    impressions: EventBlock, clicked: np.ndarray, first_event: int, duplicate_share: float, rng: np.random.Generator
) -> EventBlock:
    """Put the clicks among the impressions, then number, deliver and duplicate the events."""
    rows = np.concatenate([np.arange(len(impressions)), clicked])
    is_click = np.arange(len(rows)) >= len(impressions)
    timestamp_ms = impressions.timestamp_ms[rows]
    timestamp_ms[is_click] += _click_delay_ms(impressions.position[clicked], rng)
    order = np.argsort(timestamp_ms, kind="stable")
    dwell_s = np.full(len(rows), np.nan, np.float32)
    dwell_s[is_click] = _dwell_s(impressions.preference[clicked], rng)

    repeated = np.repeat(np.arange(len(rows)), 1 + (rng.random(len(rows)) < duplicate_share))
    chosen = order[repeated]
    found = impressions.take(rows[chosen])
    delay_ms = _delivery_delay_ms(len(rows), rng)
    return EventBlock(
        **{field.name: getattr(found, field.name) for field in fields(found)}
        | {
            "event": first_event + repeated,
            "is_click": is_click[chosen],
            "dwell_s": dwell_s[chosen],
            "timestamp_ms": timestamp_ms[chosen],
            "received_ms": timestamp_ms[chosen] + delay_ms[repeated],
            "propensity": np.where(is_click[chosen], np.float32(np.nan), found.propensity),
            "is_repeat": np.diff(repeated, prepend=-1) == 0,
        }
    )


def _click_delay_ms(position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    delay_ms = READING_MS * (position + 1) + rng.exponential(MEAN_THINKING_MS, len(position))
    return np.minimum(delay_ms, MAX_CLICK_DELAY_MS).astype(np.int64)


def _dwell_s(preference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    logit = np.log(preference / (1 - preference))
    dwell_s = DWELL_S * np.exp(DWELL_SLOPE * logit + DWELL_SPREAD * rng.normal(size=len(logit)))
    return np.clip(dwell_s, 1.0, MAX_DWELL_S).astype(np.float32)


def _delivery_delay_ms(count: int, rng: np.random.Generator) -> np.ndarray:
    """Most events arrive at once; a few lie on a device without a network for hours."""
    delay_ms = 50 + rng.exponential(MEAN_DELAY_MS, count)
    late = np.flatnonzero(rng.random(count) < LATE_SHARE)
    delay_ms[late] += rng.uniform(MS_PER_HOUR, MAX_LATE_HOURS * MS_PER_HOUR, len(late))
    return delay_ms.astype(np.int64)
