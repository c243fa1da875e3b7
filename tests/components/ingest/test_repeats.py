"""Ids that come again on another day."""

import pyarrow as pa

from components.ingest.repeats import BUCKET_BITS, ids_by_bucket, repeats_by_day
from components.schema.events import MS_PER_DAY


def events(rows: list[tuple[str, int]]) -> pa.RecordBatch:
    ids, days = (list(column) for column in zip(*rows, strict=True))
    return pa.record_batch([pa.array(ids), pa.array([day * MS_PER_DAY for day in days])], ["event_id", "timestamp_ms"])


def test_every_day_but_the_first_of_an_id_is_named_once() -> None:
    rows = [("a", 5), ("b", 3), ("a", 3), ("a", 4), ("a", 5), ("b", 3), ("c", 9), ("d", 8), ("d", 4)]
    table = pa.table({"event_id": [id for id, _ in rows], "day": [day for _, day in rows]})
    # a: first on day 3, so 4 and 5 are repeats; b: twice on one day; c: once; d: first on day 4.
    found = {day: sorted(ids.column("event_id").to_pylist()) for day, ids in repeats_by_day(table)}
    assert found == {4: ["a"], 5: ["a"], 8: ["d"]}


def test_no_repeats() -> None:
    assert repeats_by_day(pa.table({"event_id": ["a", "b"], "day": [1, 2]})) == []


def test_equal_ids_meet_in_one_bucket_whatever_is_around_them() -> None:
    first = events([(f"event-{number}", 1) for number in range(1_000)])
    second = events([("x" * 30, 2), *((f"event-{number}", 2) for number in range(999, -1, -1))]).slice(1)

    def places(batch: pa.RecordBatch) -> dict[str, int]:
        return {id: bucket for bucket, ids in ids_by_bucket(batch) for id in ids.column("event_id").to_pylist()}

    assert places(first) == places(second)
    assert len(places(first)) == 1_000


def test_ids_are_spread_over_the_buckets() -> None:
    for pattern in ("{}", "event-{}", "{}-a-long-common-ending", "{:016d}"):
        batch = events([(pattern.format(number), 1) for number in range(64_000)])
        sizes = [ids.num_rows for _, ids in ids_by_bucket(batch)]
        assert sum(sizes) == 64_000
        # 1,000 a bucket on average, with a spread of about 32 if they fell at random.
        assert len(sizes) == 1 << BUCKET_BITS
        assert max(sizes) < 3_000, pattern
