"""How large a simulated world is, when it happens, and which one of its kind it is."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Self

import numpy as np

from components.errors import ConfigError

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
MIN_EVENTS, MIN_USERS, MIN_ITEMS = 100, 10, 100


@dataclass(frozen=True)
class SyntheticConfig:
    """The size and the seed of a simulation. Equal configs give equal rows.

    Attributes:
      events: rows to write: impressions, clicks and duplicates together.
      users: people, of whom some arrive during the period; None: one for every 200 events.
      items: things to show, of which some are born and some die during the period; None: 5 * sqrt(events).
      days: length of the period, from ``start`` at 00:00 UTC.
      seed: which world of this size.
      duplicate_share: share of rows that are written twice, as a source that delivers at least once does.
      with_truth: also write the probability of a click of every impression.

    Raises:
      ConfigError: a number is out of its range.
    """

    events: int = 1_000_000
    users: int | None = None
    items: int | None = None
    days: int = 30
    seed: int = 0
    start: date = date(2025, 1, 1)
    duplicate_share: float = 0.001
    with_truth: bool = False

    def __post_init__(self) -> None:
        for name, found, least in (
            ("events", self.events, MIN_EVENTS),
            ("users", self.user_count, MIN_USERS),
            ("items", self.item_count, MIN_ITEMS),
            ("days", self.days, 1),
            ("seed", self.seed, 0),
        ):
            if found < least:
                raise ConfigError(f"synthetic data: {name}: found {found}, wanted at least {least}")
        if not 0 <= self.duplicate_share <= 0.5:
            raise ConfigError(f"synthetic data: duplicate_share: found {self.duplicate_share}, wanted 0 to 0.5")

    @property
    def user_count(self) -> int:
        return max(MIN_USERS, self.events // 200) if self.users is None else self.users

    @property
    def item_count(self) -> int:
        return max(MIN_ITEMS, 5 * math.isqrt(self.events)) if self.items is None else self.items

    @property
    def start_ms(self) -> int:
        return int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.days * MS_PER_DAY

    def rng(self, purpose: str, number: int = 0) -> np.random.Generator:
        """A stream of random numbers of its own for each purpose, so that one part can change without the others."""
        return np.random.default_rng([self.seed, number, *purpose.encode()])

    def to_dict(self) -> dict[str, int | float | str | bool]:
        """Every number that decides what is written, defaults filled in."""
        filled = {"users": self.user_count, "items": self.item_count, "start": self.start.isoformat()}
        return asdict(self) | filled

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Of what ``to_dict`` has given."""
        return cls(**{**values, "start": date.fromisoformat(values["start"])})
