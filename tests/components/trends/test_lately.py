"""What had most events lately."""

import pyarrow as pa

from components.schema.trends import COUNTS_SCHEMA
from components.trends.lately import PERIODS, TOP_ITEMS, trends

NOW = 473_352


def counts(*rows: tuple[str, str, int]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"item_id": item, "type": type_, "event_count": count} for item, type_, count in rows], schema=COUNTS_SCHEMA
    )


def listed(table: pa.Table, period: str, type_: str | None) -> list[tuple[str, int]]:
    rows = [row for row in table.to_pylist() if (row["period"], row["type"]) == (period, type_)]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    return [(row["item_id"], row["event_count"]) for row in rows]


HOURS = {
    NOW: counts(("a", "click", 1), ("b", "shown", 9)),
    NOW - 23: counts(("a", "click", 1), ("b", "click", 2)),  # the first hour of the last day
    NOW - 24: counts(("c", "buy", 5)),
    NOW - 168: counts(("d", "buy", 50)),  # a week ago and more
}


def test_periods_types_and_equal_counts() -> None:
    found = trends(HOURS, NOW, ("buy", "click"))
    assert listed(found, "day", None) == [("a", 2), ("b", 2)]
    assert listed(found, "day", "click") == [("a", 2), ("b", 2)]
    assert listed(found, "day", "shown") == [("b", 9)]
    assert listed(found, "day", "buy") == []
    assert listed(found, "week", None) == [("c", 5), ("a", 2), ("b", 2)]
    assert listed(found, "week", "buy") == [("c", 5)]
    assert set(found.column("period").to_pylist()) == set(PERIODS)


def test_only_the_best_are_kept() -> None:
    many = counts(*((f"{number:05d}", "click", 1) for number in range(TOP_ITEMS + 5)))
    found = listed(trends({NOW: many}, NOW, ("click",)), "day", None)
    assert len(found) == TOP_ITEMS
    assert found[-1] == (f"{TOP_ITEMS - 1:05d}", 1)


def test_nothing_lately() -> None:
    assert trends({}, NOW, ("click",)).num_rows == 0
