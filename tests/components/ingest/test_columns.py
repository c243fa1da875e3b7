"""Ids, numbers and moments out of columns of every type."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.errors import DataError
from components.ingest.columns import as_id, fitting_units, to_ms, to_number

DAY_MS = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC


@pytest.mark.parametrize(
    ("column", "unit", "wanted"),
    [
        (pa.array([DAY_MS // 1000]), "s", [DAY_MS]),
        (pa.array(["1704067200.5", " 1704067200 "]), "s", [DAY_MS + 500, DAY_MS]),
        (pa.array([DAY_MS * 1000 + 999]), "us", [DAY_MS + 1]),  # 0.999 ms is nearest to 1
        (pa.array([DAY_MS * 1_000_000]), "ns", [DAY_MS]),
        (pa.array([float(DAY_MS), None]), "ms", [DAY_MS, None]),
        (pa.array([datetime(2024, 1, 1, 0, 0, 0, 1999)], pa.timestamp("us")), "s", [DAY_MS + 1]),
        (pa.array([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("ns", tz="Asia/Tokyo")), "s", [DAY_MS]),
        (pa.array([date(2024, 1, 1)]), "s", [DAY_MS]),
        (pa.array(["2024-01-01", "2024-01-01 00:00:01", None]), "iso8601", [DAY_MS, DAY_MS + 1000, None]),
        (pa.array(["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00"]), "iso8601", [DAY_MS, DAY_MS]),
        (pa.array(["2024-01-01T00:00:00.250000"]), "iso8601", [DAY_MS + 250]),
        # with and without a zone, which counts as UTC; one that is none
        (
            pa.array(["2024-01-01T01:00+01:00", "2024-01-01T00:00:00.001", "soon"]),
            "iso8601",
            [DAY_MS, DAY_MS + 1, None],
        ),
        (pa.array(["7"]), "s", [None]),
        (pa.array([[1]]), "s", [None]),
        (pa.array([1]), "iso8601", [None]),
    ],
)
def test_moments(column: pa.Array, unit: str, wanted: list[int | None]) -> None:
    assert to_ms(column, unit)[0].to_pylist() == wanted


def test_moments_that_are_none_are_told_apart() -> None:
    # 631,152,000 s is 1990-01-01 and 4,102,444,800 s is 2100-01-01; the first is allowed, the last is not.
    column = pa.array(["631151999", "631152000", "4102444799", "4102444800", "then", None])
    moments, unreadable, outside = to_ms(column, "s")
    assert moments.is_null().to_pylist() == [True, False, False, True, True, True]
    assert unreadable.tolist() == [False, False, False, False, True, False]
    assert outside.tolist() == [True, False, False, True, False, False]


def test_units_that_would_fit() -> None:
    assert fitting_units(pa.array([DAY_MS])) == ["ms (2024-01-01)"]
    assert fitting_units(pa.array(["2024-01-01"])) == ["iso8601 (2024-01-01)"]
    assert fitting_units(pa.array([3])) == []


@pytest.mark.parametrize(
    ("column", "kind", "wanted"),
    [
        (pa.array(["1", " 2.5 ", "-3e2", ".5", "", "x", "nan", "inf", None]), pa.float32(),
         [1.0, 2.5, -300.0, 0.5, None, None, None, None, None]),
        (pa.array([1.0, float("nan"), float("inf"), None]), pa.float32(), [1.0, None, None, None]),
        (pa.array([1e39]), pa.float32(), [None]),  # more than a float32 holds
        (pa.array(["1", "1.0", "1.5", str(2**31), str(-(2**31))]), pa.int32(), [1, 1, None, None, -(2**31)]),
        (pa.array([True, False]), pa.float32(), [1.0, 0.0]),
        (pa.array([[1.0]]), pa.float32(), [None]),
    ],
)  # fmt: skip
def test_numbers(column: pa.Array, kind: pa.DataType, wanted: list[float | None]) -> None:
    numbers = to_number(column, kind)
    assert numbers.type == kind
    assert numbers.to_pylist() == wanted


def test_one_bad_number_spoils_no_other() -> None:
    texts = [str(number) for number in range(1000)] + ["none"]
    numbers = to_number(pa.array(texts), pa.float32())
    assert numbers.null_count == 1
    assert np.array_equal(numbers.drop_null().to_numpy(), np.arange(1000, dtype=np.float32))


def test_ids() -> None:
    for column in (pa.array([7, None]), pa.array(["7", None]), pa.array(["7", None], pa.large_string())):
        assert as_id(column, Path("f"), "key").to_pylist() == ["7", None]
    assert as_id(pa.nulls(1), Path("f"), "key").to_pylist() == [None]
    zone = timezone(timedelta(hours=1))
    for column in (pa.array([7.0]), pa.array([True]), pa.array([datetime(2024, 1, 1, tzinfo=zone)])):
        with pytest.raises(DataError, match=r"^f: key is a column of type .*wanted text or integers"):
            as_id(column, Path("f"), "key")
