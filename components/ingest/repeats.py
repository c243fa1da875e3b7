"""Find events that came again on another day: a day's duplicates are seen where it is written, these are not.

Ids are spread over buckets, equal ids into the same one, so that memory holds one bucket's ids and not all of them.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from components.schema.events import MS_PER_DAY

BUCKET_BITS = 6
LETTERS_MIXED = 16
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 over the golden ratio: its product is well mixed in its upper bits


def ids_by_bucket(events: pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
    """The events' (event_id, day) as one piece a bucket."""
    ids = events.column("event_id")
    days = events.column("timestamp_ms").to_numpy() // MS_PER_DAY
    buckets = _buckets(ids)
    order = np.argsort(buckets, kind="stable")
    ordered = pa.record_batch([ids, pa.array(days)], ["event_id", "day"]).take(pa.array(order))
    bounds = np.searchsorted(buckets[order], np.arange((1 << BUCKET_BITS) + 1))
    return [
        (bucket, ordered.slice(start, end - start))
        for bucket, (start, end) in enumerate(pairwise(bounds.tolist()))
        if end > start
    ]


def repeats_by_day(ids: pa.Table) -> list[tuple[int, pa.RecordBatch]]:
    """Of one bucket: for each day, the ids (event_id) that an earlier day has too."""
    encoded = ids.column("event_id").combine_chunks().dictionary_encode()
    codes, days = encoded.indices.to_numpy().astype(np.int64), ids.column("day").to_numpy()
    first, span = days.min(), days.max() - days.min() + 1
    pairs = np.unique(codes * span + days - first)  # each id's days once, ascending
    codes, days = pairs // span, pairs % span + first
    again = np.flatnonzero(codes[1:] == codes[:-1]) + 1
    return [
        (int(day), pa.record_batch([encoded.dictionary.take(pa.array(codes[again[days[again] == day]]))], ["event_id"]))
        for day in np.unique(days[again])
    ]


def _buckets(ids: pa.StringArray) -> np.ndarray:
    """int64 [n], by letters from all over each id (Fibonacci hashing, Knuth 1973, section 6.4)."""
    _, offsets, data = ids.buffers()
    bounds = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    letters = np.frombuffer(data, np.uint8)
    lengths = np.diff(bounds)
    mixed = lengths.astype(np.uint64)
    for place in range(LETTERS_MIXED):
        mixed = mixed * GOLDEN ^ letters[bounds[:-1] + (lengths - 1) * place // (LETTERS_MIXED - 1)]
    return (mixed * GOLDEN >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
