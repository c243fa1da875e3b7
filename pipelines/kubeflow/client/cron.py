"""When a schedule fires, as Kubeflow Pipelines reads it.

Its scheduler takes six fields, of which the first is seconds, and takes five as well, but then as the first five of the six:
the everyday ``0 3 * * *`` would silently mean every hour at three minutes past. So five fields get their second here, and what
the scheduler would refuse, or would accept and never fire, is refused before anything is sent.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from components.errors import ConfigError

FORM = "minute hour day-of-month month day-of-week, as in '0 3 * * *' for every day at 3:00 UTC; or six, with seconds first"
SEARCHED_DAYS = 366 * 8 + 1  # 29 February comes back within eight years


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


@dataclass(frozen=True)
class Cron:
    """A schedule. ``expression`` has the six fields that Kubeflow Pipelines wants."""

    expression: str
    _values: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """From five fields, or six with seconds first.

        Raises:
          ConfigError: it is no schedule, or one that never fires.
        """
        parts = text.split()
        if len(parts) not in (5, 6):
            raise ConfigError(f"--cron {text!r}: found {len(parts)} fields, wanted five: {FORM}")
        if len(parts) == 5:
            parts = ["0", *parts]
        values = tuple(_values(text, part, field) for part, field in zip(parts, _FIELDS, strict=True))
        cron = cls(" ".join(parts).upper(), values)
        if cron.next_after(datetime(2024, 1, 1, tzinfo=UTC)) is None:
            raise ConfigError(f"--cron {text!r}: never fires, since no such month has such a day; wanted {FORM}")
        return cron

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time of firing after ``moment``, in UTC; None where there is none in the next eight years."""
        moment = moment.astimezone(UTC)
        seconds, minutes, hours, *_ = (sorted(values) for values in self._values)
        for ahead in range(SEARCHED_DAYS):
            day = moment.date() + timedelta(days=ahead)
            if not self._fires_on(day):
                continue
            for hour in hours:
                for minute in minutes:
                    for second in seconds:
                        fires = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
                        if fires > moment:
                            return fires
        return None

    def _fires_on(self, day: date) -> bool:
        """Where both the day of the month and of the week are restricted, one of the two is enough, as in every cron."""
        _, _, _, days, months, weekdays = self._values
        of_month, of_week = day.day in days, day.isoweekday() % 7 in weekdays
        *_, day_part, _, week_part = self.expression.split()
        free = day_part[0] in "*?" or week_part[0] in "*?"
        return day.month in months and ((of_month and of_week) if free else (of_month or of_week))


def _values(text: str, part: str, field: _Field) -> frozenset[int]:
    values: set[int] = set()
    for item in part.split(","):
        span, slash, step_text = item.partition("/")
        step = _number(text, step_text, field, 1, field.high - field.low + 1) if slash else 1
        if span in ("*", "?"):
            low, high = field.low, field.high
        else:
            first, dash, last = span.partition("-")
            low = _bound(text, first, field)
            high = _bound(text, last, field) if dash else field.high if slash else low
        if low > high:
            raise ConfigError(f"--cron {text!r}: {field.name}: found the range {span}, whose end is before its beginning")
        values.update(range(low, high + 1, step))
    return frozenset(values)


def _bound(text: str, found: str, field: _Field) -> int:
    if found.upper() in field.names:
        return field.names.index(found.upper()) + field.low
    return _number(text, found, field, field.low, field.high)


def _number(text: str, found: str, field: _Field, low: int, high: int) -> int:
    if not (found.isascii() and found.isdigit() and low <= int(found) <= high):
        hint = "; Sunday is 0" if field.name == "day of week" and found == "7" else ""
        raise ConfigError(f"--cron {text!r}: {field.name}: found {found!r}, wanted {low} to {high}{hint}")
    return int(found)
