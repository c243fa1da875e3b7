"""What must be known of the whole log before any sample can be made: types, split, sampling distribution."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.errors import DataError
from components.features.random_split import EVAL, TEST, TRAIN, dealt, user_keys
from components.schema.catalogue import read_items
from components.schema.events import SUMMARY_FILE, EventLogSummary, event_files, utc
from components.schema.samples import history_types

EVENTS_PER_BUCKET = 250_000
EVENTS_TO_LEAVE_OUT = 3
NEVER = 1 << 62


@dataclass(frozen=True)
class SamplePlan:
    """The facts that every worker shares.

    Attributes:
      types: event types that enter the history; a type's place is its code.
      eval_from_ms, test_from_ms: where the validation and test splits begin (time split).
      negative_cdf: float64 [num_items]; cumulated distribution that negatives are drawn from.
      bucket_count: users are cut into this many groups, each made into samples at once.
    """

    types: tuple[str, ...]
    eval_from_ms: int
    test_from_ms: int
    last_timestamp_ms: int
    negative_cdf: NDArray[np.float64]
    bucket_count: int


@dataclass(frozen=True)
class HeldOut:
    """From when on a user's events are not learnt from.

    Attributes:
      users: string [n]; from_ms: int64 [n + 1]; for each of them, and last for all others.
    """

    users: pa.Array
    from_ms: NDArray[np.int64]

    @classmethod
    def since(cls, moment_ms: int) -> Self:
        return cls(pa.array([], pa.string()), np.array([moment_ms]))

    @classmethod
    def of_each_user(cls, event_log: Path, types: tuple[str, ...]) -> Self:
        """The last two events of users with three or more; what shares the earlier one's moment counts as held out too.

        Raises:
          DataError: nobody has three events.
        """
        events = pa.concat_tables(_days(event_log, types, ["user_id", "timestamp_ms"])).combine_chunks()
        users = events.column("user_id").combine_chunks().dictionary_encode()
        code, moment = users.indices.to_numpy(), events.column("timestamp_ms").to_numpy()
        count = np.bincount(code, minlength=len(users.dictionary))
        if count.max(initial=0) < EVENTS_TO_LEAVE_OUT:
            raise DataError(
                "the validation and test splits are empty: samples.split.kind: leave_last_out takes the last two events of "
                f"users with {EVENTS_TO_LEAVE_OUT} or more of type {' or '.join(types)}, and the most that any of {len(count)} "
                f"users has is {count.max(initial=0)}; wanted more events a user, or samples.split.kind: time"
            )
        ordered = moment[np.lexsort((moment, code))]
        last_but_one = ordered[np.maximum(np.cumsum(count) - 2, 0)]
        return cls(users.dictionary, np.append(np.where(count >= EVENTS_TO_LEAVE_OUT, last_but_one, NEVER), NEVER))

    def is_before(self, events: pa.Table) -> pa.Array:
        """bool [n]; which of the events are learnt from."""
        user = pc.index_in(events.column("user_id"), self.users).fill_null(len(self.users)).to_numpy()
        return pa.array(events.column("timestamp_ms").to_numpy() < self.from_ms[user])


def make_plan(config: PipelineConfig, event_log: Path, catalogue: Path) -> SamplePlan:
    """Scan the log twice: for what is held out, then, a day at a time, for the items' frequencies in training.

    Raises:
      DataError: the split leaves one part empty, or there is nothing to learn from.
    """
    summary = EventLogSummary.from_dict(json.loads((event_log / SUMMARY_FILE).read_text()))
    seen_types = {name for day in summary.days for name in day.events_by_type}
    types = history_types(config, seen_types)
    _check_types(config, types, seen_types)
    sample_types = types if config.samples.impressions is None else (config.samples.impressions,)
    if config.samples.split.kind == "time":
        eval_from, test_from = _split_moments(config, event_log, sample_types)
        held_out = HeldOut.since(eval_from)
    elif config.samples.split.kind == "leave_last_out":
        eval_from = test_from = NEVER
        held_out = HeldOut.of_each_user(event_log, sample_types)
    else:
        eval_from = test_from = NEVER
        held_out = None
    item_ids = read_items(catalogue).column("item_id").combine_chunks()
    days = _days(event_log, types, ["user_id", "item_id", "timestamp_ms"])
    counts = _dealt_counts(days, item_ids, config) if held_out is None else _counts(days, item_ids, held_out)
    if counts.sum() == 0:
        where = f"before {utc(eval_from)}, where validation begins" if eval_from < NEVER else "outside what is held out"
        raise DataError(
            f"{event_log}: no event of type {' or '.join(types)} lies {where}; "
            "wanted events to train on: correct samples.history_types or dataset.events"
        )
    # One is added so that items without a training event can be negatives too.
    drawn = (counts + 1.0) ** config.samples.negative_power
    return SamplePlan(
        types=types,
        eval_from_ms=eval_from,
        test_from_ms=test_from,
        last_timestamp_ms=summary.last_timestamp_ms,
        negative_cdf=np.cumsum(drawn / drawn.sum()),
        bucket_count=max(2, -(-summary.event_count // EVENTS_PER_BUCKET)),
    )


def _counts(days: Iterator[pa.Table], item_ids: pa.Array, held_out: HeldOut) -> NDArray[np.int64]:
    """int64 [num_items]; events of each that are learnt from, counted a day at a time."""
    counts = np.zeros(len(item_ids), np.int64)
    for events in days:
        events = events.filter(held_out.is_before(events))
        counts += np.bincount(pc.index_in(events.column("item_id"), item_ids).to_numpy(), minlength=len(counts))
    return counts


def _dealt_counts(days: Iterator[pa.Table], item_ids: pa.Array, config: PipelineConfig) -> NDArray[np.int64]:
    """The same where events are dealt at random, for which all of a user's must be at hand.

    Raises:
      DataError: nobody has enough events for one to be tested.
    """
    events = pa.concat_tables(days).combine_chunks()
    users = events.column("user_id").combine_chunks().dictionary_encode()
    key = user_keys(users.dictionary)[users.indices.to_numpy()]
    item, moment = pc.index_in(events.column("item_id"), item_ids).to_numpy(), events.column("timestamp_ms").to_numpy()
    split = dealt(key, item, moment, config.samples.split, config.samples.seed)
    if {*np.unique(split)} != {TRAIN, EVAL, TEST}:
        raise DataError(
            f"a split is empty: samples.split.kind: random takes the whole parts of {config.samples.split.eval} and "
            f"{config.samples.split.test} of each user's events, and the most that any of {len(users.dictionary)} users has is "
            f"{np.bincount(users.indices.to_numpy()).max(initial=0)}; wanted more events a user, larger shares, or another kind"
        )
    return np.bincount(item[split == TRAIN], minlength=len(item_ids))


def _check_types(config: PipelineConfig, types: tuple[str, ...], seen_types: set[str]) -> None:
    wanted = [("samples.impressions", config.samples.impressions)]
    wanted += [(f"dataset.tasks.{name}.event", task.event) for name, task in config.dataset.tasks.items()]
    wanted += [("samples.history_types", name) for name in config.samples.history_types or ()]
    for key, name in wanted:
        if name is not None and name not in seen_types:
            raise DataError(f"{key}: found no event of type {name!r}; the log holds {sorted(seen_types)}")
    for name, task in config.dataset.tasks.items():
        if config.samples.impressions is None and task.event is not None and task.event not in types:
            raise DataError(
                f"dataset.tasks.{name}.event: found {task.event!r}, which is not in samples.history_types {sorted(types)}; "
                "wanted one of them, since without impressions every sample is an event of the history"
            )
    if not types:
        raise DataError(f"no event type is left for the history: the log holds only {sorted(seen_types)}")


def _split_moments(config: PipelineConfig, event_log: Path, types: tuple[str, ...]) -> tuple[int, int]:
    split = config.samples.split
    moments = np.concatenate([day.column("timestamp_ms").to_numpy() for day in _days(event_log, types, ["timestamp_ms"])])
    places = [int(len(moments) * share) for share in (1 - split.eval - split.test, 1 - split.test)]
    moments.partition(places)
    eval_from, test_from = (int(moments[place]) for place in places)
    parts = {
        "training": int((moments < eval_from).sum()),
        "validation": int(((moments >= eval_from) & (moments < test_from)).sum()),
        "test": int((moments >= test_from).sum()),
    }
    for name, count in parts.items():
        if count == 0:
            raise DataError(
                f"the {name} split is empty: cutting {len(moments)} events by time at {utc(eval_from)} and {utc(test_from)} "
                f"leaves {', '.join(f'{part} {number}' for part, number in parts.items())}; wanted events in each: give more "
                "events, change samples.split.eval and samples.split.test, or use samples.split.kind: leave_last_out"
            )
    return eval_from, test_from


def _days(event_log: Path, types: tuple[str, ...], columns: list[str]) -> Iterator[pa.Table]:
    for path in event_files(event_log):
        day = pq.read_table(path, columns=[*columns, "type"])
        yield day.filter(pc.is_in(day.column("type"), pa.array(types, pa.string())))
