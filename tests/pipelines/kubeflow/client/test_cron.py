"""Schedules are read as Kubeflow Pipelines reads them, and what it would misread is put right or refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from components.errors import ConfigError
from pipelines.kubeflow.client.cron import Cron

SUNDAY = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_five_fields_get_their_second() -> None:
    assert Cron.parse("0 3 * * *").expression == "0 0 3 * * *"
    assert Cron.parse(" 30 0 3 1-5 jan MON ").expression == "30 0 3 1-5 JAN MON"


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("0 3 * * *", datetime(2026, 3, 2, 3, 0, tzinfo=UTC)),
        ("0 12 * * *", datetime(2026, 3, 2, 12, 0, tzinfo=UTC)),  # not the very moment, which has begun
        ("30 0 12 * * *", datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)),
        ("*/20 * * * *", datetime(2026, 3, 1, 12, 20, tzinfo=UTC)),
        ("5/20 * * * *", datetime(2026, 3, 1, 12, 5, tzinfo=UTC)),
        ("15,45 6-8 * * *", datetime(2026, 3, 2, 6, 15, tzinfo=UTC)),
        ("0 0 * * sat", datetime(2026, 3, 7, 0, 0, tzinfo=UTC)),
        ("0 0 * * 0", datetime(2026, 3, 8, 0, 0, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
        ("0 0 13 * FRI", datetime(2026, 3, 6, 0, 0, tzinfo=UTC)),  # both restricted: the Friday comes before the 13th
        ("0 0 13 * ?", datetime(2026, 3, 13, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_next_time_is_told(text: str, fires: datetime) -> None:
    assert Cron.parse(text).next_after(SUNDAY) == fires


def test_times_are_in_utc_whatever_the_clock_says() -> None:
    there = timezone(timedelta(hours=9))
    assert Cron.parse("0 3 * * *").next_after(datetime(2026, 3, 1, 11, 0, tzinfo=there)) == datetime(
        2026, 3, 1, 3, 0, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("daily", "found 1 fields, wanted five"),
        ("", "found 0 fields, wanted five"),
        ("0 0 3 * * * 2026", "found 7 fields, wanted five"),
        ("60 3 * * *", "minute: found '60', wanted 0 to 59"),
        ("0 24 * * *", "hour: found '24', wanted 0 to 23"),
        ("0 3 0 * *", "day of month: found '0', wanted 1 to 31"),
        ("0 3 * 13 *", "month: found '13', wanted 1 to 12"),
        ("0 3 * * 7", "day of week: found '7', wanted 0 to 6; Sunday is 0"),
        ("0 3 * * someday", "day of week: found 'someday', wanted 0 to 6"),
        ("*/0 3 * * *", "minute: found '0', wanted 1 to 60"),
        ("0 5-3 * * *", "hour: found the range 5-3, whose end is before its beginning"),
        ("0 3-* * * *", "hour: found '*', wanted 0 to 23"),
        ("0 3, * * *", "hour: found '', wanted 0 to 23"),
        ("0 ³ * * *", "hour: found '³', wanted 0 to 23"),
        ("-1 3 * * *", "minute: found '', wanted 0 to 59"),
        ("0 3 30 2 *", "never fires, since no such month has such a day"),
    ],
)
def test_nonsense_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Cron.parse(text)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"--cron {text!r}: ")
