"""The item facts of a catalogue: its features put through the Transform graph."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from numpy.typing import NDArray

from components.config import FeatureColumn, FeatureKind, PipelineConfig
from components.models.features import Slot
from components.models.items import ItemFacts
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.events import CONTEXT_PREFIX, MS_PER_DAY
from components.transform.preprocessing import AGE_BUCKETS

ROWS_PER_CALL = 8_192
CALENDAR_SIZE = {"hour": names.HOURS, "weekday": names.WEEKDAYS}


def item_facts(
    config: PipelineConfig, catalogue: Path, transform: tft.TFTransformOutput, trained: NDArray[np.bool_]
) -> ItemFacts:
    """What the models are told of every item."""
    items = read_items(catalogue)
    features = config.dataset.item_features
    slots = tuple(slot(name, feature.kind, transform) for name, feature in features.items())
    layer = transform.transform_features_layer()
    blocks: dict[str, list[NDArray]] = {name: [] for name in features}
    for start in range(0, items.num_rows, ROWS_PER_CALL):
        piece = items.slice(start, ROWS_PER_CALL)
        made = layer({name: raw_feature(piece.column(name), feature) for name, feature in features.items()})
        for name in features:
            blocks[name].append(made[name].numpy())
    values = {each.name: np.concatenate([*blocks[each.name], _unknown(each, blocks[each.name][0])]) for each in slots}
    return ItemFacts(items.column("item_id").to_pylist(), slots, values, trained)


def query_slots(config: PipelineConfig, types: tuple[str, ...], transform: tft.TFTransformOutput) -> tuple[Slot, ...]:
    """The features of a request besides its history."""
    slots = [slot(name, feature.kind, transform) for name, feature in config.dataset.user_features.items()]
    slots += [Slot(CONTEXT_PREFIX + name, "category", CALENDAR_SIZE[name]) for name in config.dataset.context]
    slots += [slot(CONTEXT_PREFIX + name, FeatureKind.CATEGORICAL, transform) for name in config.dataset.events.context]
    slots += [Slot(name, "number") for name in names.count_names(types)]
    return (*slots, Slot(names.USER_IDLE, "category", AGE_BUCKETS))


def slot(name: str, kind: FeatureKind, transform: tft.TFTransformOutput) -> Slot:
    if kind in (FeatureKind.NUMBER, FeatureKind.TIMESTAMP):
        return Slot(name, "number")
    size = transform.vocabulary_size_by_name(f"vocabulary_{name}") + 1
    if kind in (FeatureKind.MULTI_VALUED, FeatureKind.TEXT):
        return Slot(name, "bag", size)
    return Slot(name, "id" if kind is FeatureKind.ID else "category", size)


def raw_feature(column: pa.ChunkedArray, feature: FeatureColumn) -> tf.Tensor | tf.SparseTensor:
    """A catalogue column in the form that samples have it in."""
    values = column.to_pylist()
    if feature.kind is FeatureKind.TIMESTAMP:
        values = [None if value is None else value / MS_PER_DAY for value in values]
    if feature.kind in (FeatureKind.CATEGORICAL, FeatureKind.ID):
        return tf.constant([[value or ""] for value in values])
    if feature.kind in (FeatureKind.NUMBER, FeatureKind.TIMESTAMP):
        rows = [[] if value is None else [value] for value in values]
        return tf.ragged.constant(rows, dtype=tf.float32, ragged_rank=1).to_sparse()
    return tf.ragged.constant([value or [] for value in values], dtype=tf.string, ragged_rank=1).to_sparse()


def _unknown(slot: Slot, like: NDArray) -> NDArray:
    return np.full((1, *like.shape[1:]), -1 if slot.kind == "bag" else 0, like.dtype)
