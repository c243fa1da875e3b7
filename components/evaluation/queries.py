"""The moments that the funnel is judged on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.errors import DataError
from components.features.random_split import TRAIN
from components.features.seen import BEFORE, PAD, had_before, had_in_splits, padded
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.request import stored_values
from components.training.exported import read_examples


@dataclass(frozen=True)
class Queries:
    """Moments at which a user did the positive thing, with what was known then.

    Where events are split at random each user is one moment, after all that is learnt from.

    Attributes:
      examples: n serialized samples.
      user_id: object [n] of str; timestamp_ms: int64 [n].
      wanted: int32 [n, w]; the rows of the items, padded with -1; one, but where events are split at random.
      history: int32 [n, length]; rows, most recent first, padded with -1.
      had: int32 [n, h]; rows of all of the user's that a model may know, padded with -1.
      seen: int32 [n, s]; rows that must not come back, padded with -1.
      columns: the configured slices' values, each [n].
    """

    examples: list[bytes]
    user_id: NDArray[np.object_]
    timestamp_ms: NDArray[np.int64]
    wanted: NDArray[np.int32]
    history: NDArray[np.int32]
    had: NDArray[np.int32]
    seen: NDArray[np.int32]
    columns: dict[str, NDArray]


def split_queries(config: PipelineConfig, split: str, examples: Path, event_log: Path, catalogue: Path) -> Queries:
    """The positives of a split, ``test`` or ``eval``, or their users: at most ``evaluation.max_queries``, drawn with a seed.

    Raises:
      DataError: there is none.
    """
    label = names.LABEL_PREFIX + config.positive_task
    found = []
    for sample in read_examples(examples / f"Split-{split}"):
        features = tf.train.Example.FromString(sample).features.feature
        if features[label].float_list.value[0] > 0:
            found.append(_Found(sample, features, [_text(features, names.ITEM_ID)]))
    if not found:
        raise DataError(f"the {split} split holds no positive of task {config.positive_task!r}, so that nothing can be judged")
    at_random = config.samples.split.kind == "random"
    if at_random:
        found = _once_a_user(found)
    if len(found) > config.evaluation.max_queries:
        rng = np.random.default_rng(config.samples.seed)
        found = [found[place] for place in sorted(rng.choice(len(found), config.evaluation.max_queries, replace=False))]
    item_ids = read_items(catalogue).column("item_id").combine_chunks()
    users = np.array([_text(each.features, names.USER_ID) for each in found], object)
    moments = np.array([each.features[names.TIMESTAMP].int64_list.value[0] for each in found], np.int64)
    histories = [[item.decode() for item in each.features[names.HISTORY_ITEM].bytes_list.value] for each in found]
    if at_random:
        had = had_in_splits(event_log, item_ids, config, users, (TRAIN,))
        seen = had_in_splits(event_log, item_ids, config, users, BEFORE[split])
    else:
        had = seen = had_before(event_log, item_ids, config, users, moments)
    return Queries(
        examples=[each.sample for each in found],
        user_id=users,
        timestamp_ms=moments,
        wanted=_rows([each.wanted for each in found], item_ids),
        history=_rows(histories, item_ids),
        had=had,
        seen=seen if config.evaluation.exclude_seen else seen[:, :0],
        columns={name: _column(name, config, [each.features for each in found]) for name in config.evaluation.slices},
    )


@dataclass(frozen=True)
class _Found:
    sample: bytes
    features: Any
    wanted: list[str]


def _once_a_user(found: list[_Found]) -> list[_Found]:
    """The first sample of each user, with what all of them want."""
    of_user: dict[str, _Found] = {}
    for each in found:
        of_user.setdefault(_text(each.features, names.USER_ID), replace(each, wanted=[])).wanted.extend(each.wanted)
    return list(of_user.values())


def _text(features: Any, name: str) -> str:
    value: bytes = features[name].bytes_list.value[0]
    return value.decode()


def _column(name: str, config: PipelineConfig, samples: list) -> NDArray:
    feature = names.feature_name(config, name)
    values = []
    for stored in samples:
        kind = stored[feature].WhichOneof("kind")
        dtype = {"bytes_list": "string", "float_list": "float", "int64_list": "int64"}.get(kind, "string")
        found = stored_values(stored[feature], dtype)
        values.append(str(found[0]) if found else None)
    return np.array(values, object)


def _rows(lists: list[list[str]], item_ids: pa.Array) -> NDArray[np.int32]:
    flat = pa.array([item for each in lists for item in each], pa.string())
    rows = pc.index_in(flat, item_ids).fill_null(PAD).to_numpy()
    ends = np.cumsum([len(each) for each in lists])
    return padded(np.split(rows, ends[:-1])) if lists else np.zeros((0, 0), np.int32)
