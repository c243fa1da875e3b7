"""What each user had before a moment: it must not be recommended again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.features.random_split import EVAL, TRAIN, dealt, user_keys
from components.features.user import MOMENT_BITS
from components.schema.events import event_files
from components.schema.samples import history_types

PAD = -1
ROW_BITS = 32
BEFORE = {"eval": (TRAIN,), "test": (TRAIN, EVAL)}  # of splits at random, what comes before each


def seen_before(
    event_log: Path, item_ids: pa.Array, config: PipelineConfig, users: NDArray[np.object_], moments: NDArray[np.int64]
) -> NDArray[np.int32]:
    """What ``had_before`` gives; empty where ``evaluation.exclude_seen`` is off."""
    if not config.evaluation.exclude_seen:
        return np.zeros((len(users), 0), np.int32)
    return had_before(event_log, item_ids, config, users, moments)


def seen_by_samples(
    event_log: Path,
    item_ids: pa.Array,
    config: PipelineConfig,
    users: NDArray[np.object_],
    moments: NDArray[np.int64],
    split: str,
) -> NDArray[np.int32]:
    """``seen_before`` the samples of a split; where events are split at random, what their users had in those before it."""
    if config.samples.split.kind == "random" and config.evaluation.exclude_seen:
        return had_in_splits(event_log, item_ids, config, users, BEFORE[split])
    return seen_before(event_log, item_ids, config, users, moments)


def had_before(
    event_log: Path, item_ids: pa.Array, config: PipelineConfig, users: NDArray[np.object_], moments: NDArray[np.int64]
) -> NDArray[np.int32]:
    """int32 [n, s]; rows of the items in each user's history events before each moment, padded with -1."""
    events = _Events.of(event_log, item_ids, config, users)
    order = np.lexsort((events.moment, events.user))
    key = ((events.user << MOMENT_BITS) | events.moment)[order]
    places = pc.index_in(pa.array(users, pa.string()), events.user_ids).to_numpy().astype(np.int64)
    start = np.searchsorted(key, places << MOMENT_BITS)
    end = np.searchsorted(key, (places << MOMENT_BITS) | moments)
    row = events.row[order]
    return padded([np.unique(row[one:two]) for one, two in zip(start, end, strict=True)])


def had_in_splits(
    event_log: Path, item_ids: pa.Array, config: PipelineConfig, users: NDArray[np.object_], splits: tuple[int, ...]
) -> NDArray[np.int32]:
    """int32 [n, s]; rows of the items in each user's events of these splits, dealt at random, padded with -1."""
    events = _Events.of(event_log, item_ids, config, users)
    key = user_keys(events.user_ids)[events.user]
    within = np.isin(dealt(key, events.row, events.moment, config.samples.split, config.samples.seed), splits)
    distinct = np.unique((events.user[within] << ROW_BITS) | events.row[within])
    places = pc.index_in(pa.array(users, pa.string()), events.user_ids).to_numpy().astype(np.int64)
    start, end = (np.searchsorted(distinct, each << ROW_BITS) for each in (places, places + 1))
    return padded([distinct[one:two] & ((1 << ROW_BITS) - 1) for one, two in zip(start, end, strict=True)])


@dataclass(frozen=True)
class _Events:
    """Of the history's types, of some users.

    Attributes:
      user_ids: string [u]; user: int64 [n]; places among them; row: int64 [n]; of the catalogue; moment: int64 [n]; ms.
    """

    user_ids: pa.Array
    user: NDArray[np.int64]
    row: NDArray[np.int64]
    moment: NDArray[np.int64]

    @classmethod
    def of(cls, event_log: Path, item_ids: pa.Array, config: PipelineConfig, users: NDArray[np.object_]) -> Self:
        wanted = pa.array(sorted(set(users)), pa.string())
        columns = ["user_id", "item_id", "timestamp_ms", "type"]
        days = [pq.read_table(path, columns=columns, partitioning=None) for path in event_files(event_log)]
        log = pa.concat_tables([day.filter(pc.is_in(day.column("user_id"), wanted)) for day in days])
        types = history_types(config, pc.unique(log.column("type")).to_pylist())
        log = log.filter(pc.is_in(log.column("type"), pa.array(types, pa.string())))
        user = pc.index_in(log.column("user_id"), wanted).to_numpy().astype(np.int64)
        row = pc.index_in(log.column("item_id"), item_ids).to_numpy().astype(np.int64)
        return cls(wanted, user, row, log.column("timestamp_ms").to_numpy())


def padded(lists: list[NDArray]) -> NDArray[np.int32]:
    """int32 [n, longest]; the lists side by side, padded with -1."""
    made = np.full((len(lists), max((len(each) for each in lists), default=0)), PAD, np.int32)
    for place, each in enumerate(lists):
        made[place, : len(each)] = each
    return made
