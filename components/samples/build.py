"""Make the samples of a group of users, column by column."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.config.dataset import FeatureKind, TaskConfig
from components.features.context import CALENDAR
from components.features.random_split import EVAL, TEST, TRAIN, dealt, user_keys
from components.features.user import MOMENT_BITS, UserPast, UserValues
from components.samples.plan import EVENTS_TO_LEAVE_OUT, SamplePlan
from components.schema import samples as names
from components.schema.events import CONTEXT_PREFIX, MS_PER_DAY

ROWS_PER_BATCH = 16_384
NO_WINDOW = -1
COMPARE = {">=": np.greater_equal, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal, ">": np.greater, "<": np.less}


@dataclass(frozen=True)
class Catalogue:
    """The items and users that samples are joined with, in the order of their index."""

    items: pa.Table
    users: pa.Table


@dataclass(frozen=True)
class Moments:
    """The sampled rows of a group of users.

    Attributes:
      row: int64 [n]; the row in the group's events.
      split: int8 [n].
      labels: each task → float32 [n], NaN where it was not observed.
      weight: float32 [n].
      window: int64 [n]; for some of the training positives, whose histories hold all the others: the first event of the past
        that is learnt from them; ``NO_WINDOW`` for the others.
    """

    row: NDArray[np.int64]
    split: NDArray[np.int8]
    labels: dict[str, NDArray[np.float32]]
    weight: NDArray[np.float32]
    window: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "Moments":
        labels = {name: label[chosen] for name, label in self.labels.items()}
        return Moments(self.row[chosen], self.split[chosen], labels, self.weight[chosen], self.window[chosen])


class UserGroup:
    """All events of some users, and the samples made of them."""

    def __init__(self, events: pa.Table, catalogue: Catalogue, config: PipelineConfig, plan: SamplePlan) -> None:
        self._config, self._plan, self._catalogue = config, plan, catalogue
        users = events.column("user_id").combine_chunks().dictionary_encode()
        code = users.indices.to_numpy().astype(np.int64)
        timestamp = events.column("timestamp_ms").to_numpy()
        order = np.lexsort((timestamp, code))
        self._events = events.take(pa.array(order)).combine_chunks()
        self.user_ids = users.dictionary
        self.user = code[order]
        self.timestamp_ms = timestamp[order]
        types = pc.index_in(self._events.column("type"), pa.array(plan.types, pa.string())).fill_null(-1)
        self.type = types.to_numpy().astype(np.int16)
        self.item = pc.index_in(self._events.column("item_id"), catalogue.items.column("item_id").combine_chunks()).to_numpy()
        self.value = self._events.column("value").fill_null(np.nan).to_numpy()
        self.own_rows = np.flatnonzero(self.type >= 0)
        self.dealt = self._dealt() if config.samples.split.kind == "random" else None
        self.past_rows = self.own_rows if self.dealt is None else self.own_rows[self.dealt == TRAIN]
        # Events that ``moments`` leaves to the samples whose history has them.
        self._held = np.zeros(len(self.past_rows) + 1, bool)
        none_forgotten = np.zeros((len(self.user_ids), len(plan.types)), np.int64)
        self.past = UserPast(
            self.user[self.past_rows], self.timestamp_ms[self.past_rows], self.type[self.past_rows], none_forgotten
        )

    def moments(self) -> Moments:
        """The rows that become samples, with their labels and split."""
        impressions = self._config.samples.impressions
        if impressions is None:
            rows = self.own_rows
        else:
            rows = np.flatnonzero(pc.equal(self._events.column("type"), impressions).to_numpy())
        labels = self._labels(rows)
        split = self._split(rows)
        weight = np.ones(len(rows), np.float32)
        window = self._windows(rows, (labels[self._config.positive_task] > 0) & (split == TRAIN))
        share = self._config.samples.impression_keep_share
        if impressions is not None and share < 1:
            rng = np.random.default_rng((self._config.samples.seed, len(rows)))
            idle = np.all([~(label > 0) for label in labels.values()], axis=0) & (split == TRAIN)
            weight[idle] = 1 / share
            kept = np.flatnonzero(~idle | (rng.random(len(rows)) < share))
            return Moments(rows, split, labels, weight, window).take(kept)
        return Moments(rows, split, labels, weight, window)

    def _windows(self, rows: NDArray[np.int64], positive: NDArray[np.bool_]) -> NDArray[np.int64]:
        """``Moments.window``: each user's past, cut from its last positive back into pieces of a history and the item after it.

        Of each piece the last positive is learnt from, with those positives whose events are in the piece before it. What
        is in nobody's piece, as where two come at one moment, is learnt from alone.
        """
        window, alone = np.full(len(rows), NO_WINDOW), len(self.past_rows)
        places = np.flatnonzero(positive)
        user, moment = self.user[rows[places]], self.timestamp_ms[rows[places]]
        if self.dealt is not None:  # histories without an order: nothing in them came before anything else
            window[places] = alone
            return window
        at = self.past.as_of(user, moment, self._config.samples.history_length).history_end
        last = at[np.searchsorted(user, user, side="right") - 1]
        length = self._config.samples.history_length + 1
        piece = (last - at) // length
        is_end = np.append((np.diff(user) != 0) | (np.diff(piece) != 0), True)[: len(places)]
        begin = np.maximum(last - (piece + 1) * length + 1, 0)
        event = self._event_of(rows[places])
        ends = np.flatnonzero(is_end)
        key, key_of_event = (user * (alone + 1) - each for each in (piece, np.where(event < 0, -1, (last - event) // length)))
        found = np.minimum(np.searchsorted(key[ends], key_of_event), max(0, len(ends) - 1))  # pieces fall with time
        end = ends[found] if len(ends) else found
        held = ~is_end & (event >= begin[end]) & (event < at[end]) & (user == user[end])
        self._held[event[held]] = True
        window[places] = np.where(is_end, begin, np.where(held, NO_WINDOW, alone))
        return window

    def _event_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The event of the past that tells of each positive, -1 where there is none."""
        event = self._config.dataset.tasks[self._config.positive_task].event
        if self._config.samples.impressions is not None:
            if event is None:
                return np.full(len(rows), -1)
            rows = self._outcome(rows, event)[1]
        place = np.searchsorted(self.past_rows, rows)
        known = np.append(self.past_rows, -1)[place] == rows
        return np.where(known, place, -1)

    def _labels(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        tasks = self._config.dataset.tasks
        own = {name: self._label(rows, task) for name, task in tasks.items()}

        def with_first(name: str) -> NDArray[np.float32]:
            """A task that comes after another has happened only where both have."""
            first = tasks[name].after
            return own[name] if first is None else own[name] * with_first(first)

        return {name: with_first(name) for name in tasks}

    def _label(self, rows: NDArray[np.int64], task: TaskConfig) -> NDArray[np.float32]:
        if task.event is not None and self._config.samples.impressions is not None:
            found, outcome = self._outcome(rows, task.event)
            value = np.where(found, self.value[outcome], np.nan)
        else:
            code = self._plan.types.index(task.event) if task.event in self._plan.types else None
            found = np.ones(len(rows), bool) if task.event is None else self.type[rows] == code
            value = self.value[rows]
        if task.kind == "regression":
            return np.where(found, value, np.nan).astype(np.float32)
        if task.threshold is None:
            return found.astype(np.float32)
        sign, bound = task.threshold
        met = np.where(np.isnan(value), np.nan, COMPARE[sign](value, bound))
        return np.where(found, met, 0).astype(np.float32)

    def _outcome(self, rows: NDArray[np.int64], event: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether each impression was followed by ``event``, of its user and in its request, and that event's row."""
        outcomes = np.flatnonzero(pc.equal(self._events.column("type"), event).to_numpy())
        if not len(outcomes):
            return np.zeros(len(rows), bool), np.zeros(len(rows), np.int64)
        request = self._events.column("request_id").combine_chunks().dictionary_encode()
        request_code = request.indices.fill_null(-1).to_numpy().astype(np.int64)
        # One number for user, request and item; request ids may be counted anew for each user.
        shown = (self.user * len(request.dictionary) + request_code) * self._catalogue.items.num_rows + self.item
        keys, outcome_key = np.unique(shown[outcomes], return_inverse=True)
        row_key = np.minimum(np.searchsorted(keys, shown[rows]), len(keys) - 1)
        moments = (outcome_key << MOMENT_BITS) | self.timestamp_ms[outcomes]
        order = np.argsort(moments, kind="stable")
        first = np.searchsorted(moments[order], (row_key << MOMENT_BITS) | self.timestamp_ms[rows])  # not before it
        match = outcomes[order[np.minimum(first, len(order) - 1)]]
        delay_ms = self.timestamp_ms[match] - self.timestamp_ms[rows]
        within = (delay_ms >= 0) & (delay_ms <= self._config.samples.outcome_window_s * 1000)
        joined = (request_code[rows] >= 0) & (request_code[match] >= 0)
        found = (shown[match] == shown[rows]) & joined & within
        return found, match

    def _dealt(self) -> NDArray[np.int8]:
        """int8 [n]; the split of each of ``own_rows``."""
        key, samples = user_keys(self.user_ids)[self.user[self.own_rows]], self._config.samples
        return dealt(key, self.item[self.own_rows], self.timestamp_ms[self.own_rows], samples.split, samples.seed)

    def _split(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        if self.dealt is not None:
            return self.dealt
        if self._config.samples.split.kind == "time":
            moment = self.timestamp_ms[rows]
            return ((moment >= self._plan.eval_from_ms).astype(np.int8) + (moment >= self._plan.test_from_ms)).astype(np.int8)
        user = self.user[rows]
        end = np.searchsorted(user, user, side="right")
        from_last = end - 1 - np.arange(len(rows))
        length = end - np.searchsorted(user, user, side="left")
        split = np.where(from_last == 0, TEST, np.where(from_last == 1, EVAL, TRAIN))
        # A user with fewer than three events cannot be judged and is only learnt from.
        return np.where(length >= EVENTS_TO_LEAVE_OUT, split, TRAIN).astype(np.int8)

    def batches(self, moments: Moments, seed: tuple[int, ...]) -> Iterator[pa.RecordBatch]:
        """The samples, with the columns of ``feature_spec`` as lists."""
        rng = np.random.default_rng(seed)
        for start in range(0, len(moments.row), ROWS_PER_BATCH):
            yield self._batch(moments.take(np.arange(start, min(start + ROWS_PER_BATCH, len(moments.row)))), rng)

    def _batch(self, moments: Moments, rng: np.random.Generator) -> pa.RecordBatch:
        rows = moments.row
        if self.dealt is None:
            moment, without = self.timestamp_ms[rows], None
        else:  # each item is told from all others, as if they had no order
            moment, without = np.full(len(rows), self._plan.last_timestamp_ms + 1), self.item[rows]
        values = self.past.as_of(self.user[rows], moment, self._config.samples.history_length)
        columns = self._query_columns(self.user[rows], moment, values, rows, without)
        columns[names.ITEM_ID] = _single(self._item_ids(self.item[rows]))
        columns[names.WINDOW] = self._window(values, moments.window)
        # Moments stay moments, not ages at the request: the models are told one thing of an item for all requests.
        for name, feature in self._config.dataset.item_features.items():
            columns[name] = _feature(self._catalogue.items.column(name), pa.array(self.item[rows]), feature.kind, until=None)
        for name, label in moments.labels.items():
            columns[names.LABEL_PREFIX + name] = self._label_list(name, np.nan_to_num(label))
            observed = np.where(np.isnan(label), 0, moments.weight).astype(np.float32)
            columns[names.WEIGHT_PREFIX + name] = _single(pa.array(observed))
        if self._config.samples.impressions is None:
            columns |= self._negatives(len(rows), rng)
        else:
            position = self._events.column("position").take(pa.array(rows)).combine_chunks()
            columns[names.POSITION] = _single(position.fill_null(0).cast(pa.int64()))
            propensity = self._events.column("propensity").take(pa.array(rows)).combine_chunks()
            columns[names.PROPENSITY] = _single(propensity.fill_null(1.0))
        return self._as_samples(columns)

    def requests(self) -> pa.RecordBatch:
        """What each user's request would be right after the log's last event: samples without an item.

        The context columns are those of the user's last event.
        """
        users = np.arange(len(self.user_ids))
        moment = np.full(len(users), self._plan.last_timestamp_ms + 1)
        last_row = np.searchsorted(self.user, users, side="right") - 1
        values = self.past.as_of(users, moment, self._config.samples.history_length)
        columns = self._query_columns(users, moment, values, last_row)
        empty: dict[str, pa.Array] = {
            "string": pa.array([""] * len(users)),
            "float": pa.array(np.zeros(len(users), np.float32)),
            "int64": pa.array(np.zeros(len(users), np.int64)),
        }
        none = pa.array(np.zeros(len(users) + 1, np.int32))
        for name, (dtype, single) in names.feature_spec(self._config, self._plan.types).items():
            if name not in columns:
                columns[name] = _single(empty[dtype]) if single else pa.ListArray.from_arrays(none, empty[dtype].slice(0, 0))
        return self._as_samples(columns)

    def _query_columns(
        self,
        user: NDArray[np.int64],
        moment: NDArray[np.int64],
        values: UserValues,
        context_row: NDArray[np.int64],
        without: NDArray[np.integer] | None = None,
    ) -> dict[str, pa.Array]:
        """What is known of each user at each moment; ``without``: an item for each that its history must not hold."""
        user_ids = self.user_ids.take(pa.array(user))
        columns: dict[str, pa.Array] = {
            names.USER_ID: _single(user_ids),
            names.TIMESTAMP: _single(pa.array(moment)),
            names.USER_IDLE: _single(pa.array(values.idle_s)),
        }
        user_row = pc.index_in(user_ids, self._catalogue.users.column("user_id").combine_chunks())
        for name, feature in self._config.dataset.user_features.items():
            columns[name] = _feature(self._catalogue.users.column(name), user_row, feature.kind, until=moment)
        for name in self._config.dataset.context:
            columns[CONTEXT_PREFIX + name] = _single(pa.array(CALENDAR[name](moment)))
        for name in self._config.dataset.events.context:
            column = self._events.column(CONTEXT_PREFIX + name).take(pa.array(context_row)).combine_chunks()
            columns[CONTEXT_PREFIX + name] = _single(column.fill_null(""))
        for code, name in enumerate(names.count_names(self._plan.types)):
            columns[name] = _single(pa.array(values.event_counts[:, code]))
        return columns | self._history(values, moment, without)

    def _as_samples(self, columns: dict[str, pa.Array]) -> pa.RecordBatch:
        # tf.Examples hold bytes, and their encoder takes no other text.
        binary = pa.list_(pa.binary())
        spec = names.feature_spec(self._config, self._plan.types)
        return pa.RecordBatch.from_pydict(
            {name: columns[name].cast(binary) if dtype == "string" else columns[name] for name, (dtype, _) in spec.items()}
        )

    def _label_list(self, task: str, label: NDArray[np.float32]) -> pa.ListArray:
        if not names.has_drawn_negatives(self._config, task):
            return _single(pa.array(label))
        width = 1 + self._config.samples.negatives
        listed = np.zeros((len(label), width), np.float32)
        listed[:, 0] = label
        return pa.ListArray.from_arrays(pa.array(np.arange(len(label) + 1, dtype=np.int32) * width), pa.array(listed.ravel()))

    def _history(
        self, values: UserValues, moment: NDArray[np.int64], without: NDArray[np.integer] | None
    ) -> dict[str, pa.Array]:
        length = values.history_end - values.history_start
        offsets = np.concatenate([[0], np.cumsum(length)])
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], length)
        past = np.repeat(values.history_end, length) - 1 - place  # most recent first
        rows = self.past_rows[past]
        if without is not None:
            kept = self.item[rows] != np.repeat(without, length)
            length = np.bincount(np.repeat(np.arange(len(length)), length)[kept], minlength=len(length))
            rows, offsets = rows[kept], np.concatenate([[0], np.cumsum(length)])
        age_s = (np.repeat(moment, length) - self.timestamp_ms[rows]) / 1000
        starts = pa.array(offsets.astype(np.int32))
        return {
            names.HISTORY_ITEM: pa.ListArray.from_arrays(starts, self._item_ids(self.item[rows])),
            names.HISTORY_AGE: pa.ListArray.from_arrays(starts, pa.array(age_s.astype(np.float32))),
            names.HISTORY_VALUE: pa.ListArray.from_arrays(starts, pa.array(np.nan_to_num(self.value[rows]))),
        }

    def _window(self, values: UserValues, window: NDArray[np.int64]) -> pa.ListArray:
        """``names.WINDOW`` of each moment."""
        is_end = window != NO_WINDOW
        length = np.where(is_end, values.history_end - values.history_start, 0)
        offsets = np.concatenate([[0], np.cumsum(1 + length)])
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], 1 + length)  # 0 for the item of the moment itself
        past = np.repeat(values.history_end, 1 + length) - place  # most recent first
        learnt = (past >= np.repeat(window, 1 + length)) & self._held[past]
        wanted = np.where(place == 0, np.repeat(is_end, 1 + length), learnt)
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(wanted.astype(np.int64)))

    def _negatives(self, count: int, rng: np.random.Generator) -> dict[str, pa.Array]:
        each = self._config.samples.negatives
        cdf = self._plan.negative_cdf
        drawn = np.minimum(np.searchsorted(cdf, rng.random(count * each), side="right"), len(cdf) - 1)
        prob = np.diff(cdf, prepend=0)[drawn].astype(np.float32)
        starts = pa.array(np.arange(count + 1, dtype=np.int32) * each)
        return {
            names.NEGATIVE_ITEM: pa.ListArray.from_arrays(starts, self._item_ids(drawn)),
            names.NEGATIVE_PROB: pa.ListArray.from_arrays(starts, pa.array(prob)),
        }

    def _item_ids(self, index: NDArray[np.integer]) -> pa.Array:
        return self._catalogue.items.column("item_id").combine_chunks().take(pa.array(index))

    def interactions(self, moments: Moments) -> pa.Table:
        """What the baselines and the evaluation need of the training split's positives, as indices."""
        positive = moments.labels[self._config.positive_task] > 0
        chosen = moments.row[positive & (moments.split == TRAIN)]
        return pa.table(
            {
                "user_id": self.user_ids.take(pa.array(self.user[chosen])),
                "item_index": pa.array(self.item[chosen].astype(np.int32)),
                "timestamp_ms": pa.array(self.timestamp_ms[chosen]),
            }
        )

    def snapshot(self) -> pa.Table:
        """Each user's state after the last event of the log, for the online store and for precomputed lists."""
        users = np.arange(len(self.user_ids))
        end_of_time = np.full(len(users), (1 << 42) - 1)
        values = self.past.as_of(users, end_of_time, self._config.samples.history_length)
        length = values.history_end - values.history_start
        offsets = np.concatenate([[0], np.cumsum(length)])
        rows = self.past_rows[np.repeat(values.history_end - offsets[1:], length) + np.arange(offsets[-1])]  # oldest first
        starts = pa.array(offsets.astype(np.int32))
        columns = {
            "user_id": self.user_ids,
            "item_id": pa.ListArray.from_arrays(starts, self._item_ids(self.item[rows])),
            "timestamp_ms": pa.ListArray.from_arrays(starts, pa.array(self.timestamp_ms[rows])),
            "value": pa.ListArray.from_arrays(starts, pa.array(np.nan_to_num(self.value[rows]))),
            "type": pa.ListArray.from_arrays(starts, pa.array(self.type[rows])),
            "seen_item_id": self._seen(),
        }
        for code, name in enumerate(names.count_names(self._plan.types)):
            columns[name] = pa.array(values.event_counts[:, code])
        return pa.table(columns)

    def _seen(self) -> pa.ListArray:
        """Every item of each user's past, once, not only the history's last ones."""
        distinct = np.unique(self.user[self.own_rows] * self._catalogue.items.num_rows + self.item[self.own_rows])
        user, item = np.divmod(distinct, self._catalogue.items.num_rows)
        starts = np.searchsorted(user, np.arange(len(self.user_ids) + 1)).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(starts), self._item_ids(item))


def _single(values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1, dtype=np.int32)), values)


def _present(values: pa.Array, present: NDArray[np.bool_]) -> pa.ListArray:
    """One value, or null: statistics count an empty list as a value that is there, and would miss an empty feature."""
    offsets = np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.filter(pa.array(present)), mask=pa.array(~present))


def _feature(column: pa.ChunkedArray, rows: pa.Array, kind: FeatureKind, until: NDArray[np.int64] | None) -> pa.ListArray:
    """A catalogue column at ``rows``; moments in days since 1970, or as ages at the moments ``until``."""
    taken = column.combine_chunks().take(rows)
    if kind in (FeatureKind.MULTI_VALUED, FeatureKind.TEXT):
        return taken.fill_null([])
    if kind is FeatureKind.NUMBER:
        return _present(taken, taken.is_valid().to_numpy(zero_copy_only=False))
    if kind is FeatureKind.TIMESTAMP:
        present = taken.is_valid().to_numpy(zero_copy_only=False)
        moment = taken.fill_null(0).to_numpy()
        days = (moment if until is None else until - moment) / MS_PER_DAY
        return _present(pa.array(days.astype(np.float32)), present)
    return _single(taken.fill_null(""))
