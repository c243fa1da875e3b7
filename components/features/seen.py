"""What each user had before a moment: it must not be recommended again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.features.user import MOMENT_BITS
from components.schema.events import event_files
from components.schema.samples import history_types

PAD = -1


def seen_before(
    event_log: Path, item_ids: pa.Array, config: PipelineConfig, users: NDArray[np.object_], moments: NDArray[np.int64]
) -> NDArray[np.int32]:
    """int32 [n, s]; rows of the items in each user's history events before each moment, padded with -1.

    Empty where ``evaluation.exclude_seen`` is off.
    """
    if not config.evaluation.exclude_seen:
        return np.zeros((len(users), 0), np.int32)
    wanted = pa.array(sorted(set(users)))
    columns = ["user_id", "item_id", "timestamp_ms", "type"]
    days = [pq.read_table(path, columns=columns, partitioning=None) for path in event_files(event_log)]
    log = pa.concat_tables([day.filter(pc.is_in(day.column("user_id"), wanted)) for day in days])
    types = history_types(config, pc.unique(log.column("type")).to_pylist())
    log = log.filter(pc.is_in(log.column("type"), pa.array(types, pa.string())))
    user = pc.index_in(log.column("user_id"), wanted).to_numpy()
    order = np.lexsort((log.column("timestamp_ms").to_numpy(), user))
    user, moment = user[order], log.column("timestamp_ms").to_numpy()[order]
    rows = pc.index_in(log.column("item_id"), item_ids).to_numpy()[order]
    places = pc.index_in(pa.array(users, pa.string()), wanted).to_numpy()
    key = (user.astype(np.int64) << MOMENT_BITS) | moment
    start = np.searchsorted(key, places.astype(np.int64) << MOMENT_BITS)
    end = np.searchsorted(key, (places.astype(np.int64) << MOMENT_BITS) | moments)
    seen = [np.unique(rows[one:two]) for one, two in zip(start, end, strict=True)]
    return padded(seen)


def padded(lists: list[NDArray]) -> NDArray[np.int32]:
    """int32 [n, longest]; the lists side by side, padded with -1."""
    made = np.full((len(lists), max((len(each) for each in lists), default=0)), PAD, np.int32)
    for place, each in enumerate(lists):
        made[place, : len(each)] = each
    return made
