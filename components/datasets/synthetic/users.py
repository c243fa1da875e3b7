"""The people of a simulated world: what they like, how that moves, how often they come."""

from dataclasses import dataclass

import numpy as np

from components.datasets.synthetic.config import MS_PER_DAY, MS_PER_HOUR, SyntheticConfig
from components.datasets.synthetic.items import CATEGORIES, LATENT_SIZE

COUNTRIES = ("BR", "DE", "FR", "GB", "IN", "JP", "KE", "US")
AGE_GROUPS = ("13-17", "18-24", "25-34", "35-49", "50-64", "65+")
DEVICES = ("desktop", "mobile", "tablet")
DEVICE_SHARE = (0.35, 0.55, 0.10)
SEGMENT_COUNT = 12
SEGMENT_IN_TASTE = 0.8  # correlation between the taste of a person and the segment's
DRIFT_SHARE = 0.25  # of the variance of taste
DRIFT_MEMORY_DAYS = 14.0  # after which the drift's correlation with itself is 1/e
KNOT_MS = 7 * MS_PER_DAY
MOOD_MS = 12 * MS_PER_HOUR
NEW_SHARE = 0.3
ACTIVITY_SPREAD = 1.2  # standard deviation of the logarithm


@dataclass(frozen=True)
class Users:
    """One row a person, in the order of arrival.

    Attributes:
      lasting_taste: ``[users, latent]`` float32: the part of taste that stays.
      drift: ``[knots, users, latent]`` float32: the part that moves, every `KNOT_MS` from ``start_ms``;
        32 bytes a user and week, the largest table of a world.
      profile: ``[users, latent]`` float32: what the logging policy believes the taste to be.
      activity: ``[users]`` float64: relative number of sessions; log-normal.
      device: ``[users]`` index into `DEVICES`: the preferred one.
      country, age_group: ``[users]`` index into `COUNTRIES`, `AGE_GROUPS`; they tell of the segment.
      created_ms: ``[users]`` int64.
      start_ms: start of the period.
      mood_seed: what the moods are hashed with.
    """

    lasting_taste: np.ndarray
    drift: np.ndarray
    profile: np.ndarray
    activity: np.ndarray
    device: np.ndarray
    country: np.ndarray
    age_group: np.ndarray
    created_ms: np.ndarray
    start_ms: int
    mood_seed: int

    def taste(self, user: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
        """``[n, latent]`` float32: the taste of each of ``[n]`` users at its time, without the mood."""
        knot, past_ms = np.divmod(time_ms - self.start_ms, KNOT_MS)
        share = (past_ms / KNOT_MS).astype(np.float32)[:, None]
        return self.lasting_taste[user] + (1 - share) * self.drift[knot, user] + share * self.drift[knot + 1, user]

    def mood(self, user: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
        """``[n]`` index of the category that each user has a passing interest in, another one every `MOOD_MS`.

        A hash and not a stored draw: it can be asked for any user and time and takes no memory.
        """
        turn = (time_ms // MOOD_MS).astype(np.uint64)
        mixed = _mix(_mix(_mix(np.uint64(self.mood_seed) + turn) + user.astype(np.uint64)))
        return (mixed % np.uint64(len(CATEGORIES))).astype(np.int64)


def make_users(config: SyntheticConfig) -> Users:
    rng = config.rng("users")
    count = config.user_count
    segment = rng.choice(SEGMENT_COUNT, count, p=rng.dirichlet(np.full(SEGMENT_COUNT, 4.0)))
    segment_taste = rng.normal(size=(SEGMENT_COUNT, LATENT_SIZE))
    own_taste = rng.normal(size=(count, LATENT_SIZE))
    taste = SEGMENT_IN_TASTE * segment_taste[segment] + np.sqrt(1 - SEGMENT_IN_TASTE**2) * own_taste
    new_count = int(NEW_SHARE * count)
    old = config.start_ms - rng.uniform(0, 365 * MS_PER_DAY, count - new_count)
    new = config.start_ms + rng.uniform(0, config.days * MS_PER_DAY, new_count)
    return Users(
        lasting_taste=(np.sqrt(1 - DRIFT_SHARE) * taste).astype(np.float32),
        drift=_drift(rng, config),
        profile=(0.8 * taste + 0.6 * rng.normal(size=taste.shape)).astype(np.float32),
        activity=rng.lognormal(0.0, ACTIVITY_SPREAD, count),
        device=rng.choice(len(DEVICES), count, p=DEVICE_SHARE),
        country=_of_segment(rng, segment, len(COUNTRIES)),
        age_group=_of_segment(rng, segment, len(AGE_GROUPS)),
        created_ms=np.sort(np.concatenate([old, new])).astype(np.int64),
        start_ms=config.start_ms,
        mood_seed=int(rng.integers(2**63)),
    )


def _drift(rng: np.random.Generator, config: SyntheticConfig) -> np.ndarray:
    """An Ornstein-Uhlenbeck process, exact at the knots: x' = a x + sqrt(1 - a^2) noise, a = exp(-dt / memory).

    It starts in its stationary distribution, so that no moment of the period is special.
    """
    knot_count = config.days * MS_PER_DAY // KNOT_MS + 2
    kept = np.exp(-KNOT_MS / (DRIFT_MEMORY_DAYS * MS_PER_DAY))
    drift = rng.standard_normal((knot_count, config.user_count, LATENT_SIZE), np.float32)
    drift *= np.float32(np.sqrt(DRIFT_SHARE))
    for knot in range(1, knot_count):
        drift[knot] = kept * drift[knot - 1] + np.sqrt(1 - kept**2) * drift[knot]
    return drift


def _of_segment(rng: np.random.Generator, segment: np.ndarray, value_count: int) -> np.ndarray:
    """``[users]`` one of ``value_count`` values, with probabilities of the segment."""
    cumulative = np.cumsum(rng.dirichlet(np.full(value_count, 0.3), SEGMENT_COUNT), axis=1)
    return (cumulative[segment, :-1] < rng.random(len(segment))[:, None]).sum(axis=1)


def _mix(key: np.ndarray) -> np.ndarray:
    """One step of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014."""
    key = key + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
