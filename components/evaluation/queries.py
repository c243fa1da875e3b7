"""The test moments that the funnel is judged on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.errors import DataError
from components.features.seen import PAD, padded, seen_before
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.events import CONTEXT_PREFIX
from components.schema.request import stored_values
from components.training.exported import read_examples


@dataclass(frozen=True)
class Queries:
    """Moments at which a user did the positive thing, with what was known then.

    Attributes:
      examples: n serialized samples.
      user_id: object [n] of str; timestamp_ms: int64 [n].
      wanted: int32 [n]; the row of the item.
      history: int32 [n, length]; rows, most recent first, padded with -1.
      seen: int32 [n, s]; rows of all that the user had before, padded with -1.
      columns: the configured slices' values, each [n].
    """

    examples: list[bytes]
    user_id: NDArray[np.object_]
    timestamp_ms: NDArray[np.int64]
    wanted: NDArray[np.int32]
    history: NDArray[np.int32]
    seen: NDArray[np.int32]
    columns: dict[str, NDArray]


def test_queries(config: PipelineConfig, examples: Path, event_log: Path, catalogue: Path) -> Queries:
    """The positives of the test split, at most ``evaluation.max_queries`` of them, drawn with a seed.

    Raises:
      DataError: there is none.
    """
    label = names.LABEL_PREFIX + config.positive_task
    found = []
    for sample in read_examples(examples / "Split-test"):
        features = tf.train.Example.FromString(sample).features.feature
        if features[label].float_list.value[0] > 0:
            found.append((sample, features))
    if not found:
        raise DataError(f"the test split holds no positive of task {config.positive_task!r}, so that nothing can be judged")
    if len(found) > config.evaluation.max_queries:
        rng = np.random.default_rng(config.samples.seed)
        found = [found[place] for place in sorted(rng.choice(len(found), config.evaluation.max_queries, replace=False))]
    item_ids = read_items(catalogue).column("item_id").combine_chunks()
    users = np.array([features[names.USER_ID].bytes_list.value[0].decode() for _, features in found], object)
    moments = np.array([features[names.TIMESTAMP].int64_list.value[0] for _, features in found], np.int64)
    wanted = [features[names.ITEM_ID].bytes_list.value[0].decode() for _, features in found]
    histories = [[item.decode() for item in features[names.HISTORY_ITEM].bytes_list.value] for _, features in found]
    columns = {name: _column(name, config, [features for _, features in found]) for name in config.evaluation.slices}
    return Queries(
        examples=[sample for sample, _ in found],
        user_id=users,
        timestamp_ms=moments,
        wanted=pc.index_in(pa.array(wanted), item_ids).to_numpy().astype(np.int32),
        history=_rows(histories, item_ids),
        seen=seen_before(event_log, item_ids, config, users, moments),
        columns=columns,
    )


def _column(name: str, config: PipelineConfig, samples: list) -> NDArray:
    contexts = {*config.dataset.context, *config.dataset.events.context}
    feature = CONTEXT_PREFIX + name if name in contexts else name
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
