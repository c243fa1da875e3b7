"""The preprocessing of every feature, by its kind.

Identity is left to the models: ``user_id``, ``item_id`` and the lists of item ids pass through as text, since an item
is a place in the catalogue, which is known only after the split. Everything else becomes small integers and floats:

* categorical, id: int64 [batch], 1 + place in the vocabulary of the training split, 0 for one never seen;
* multi_valued, text: int64 [batch, MAX_VALUES], the same, padded with -1;
* number, timestamp, counters: float32 [batch, 1], standardised, 0 where missing;
* history: int64 or float32 [batch, history_length], padded with "" or -1.
"""

import tensorflow as tf
import tensorflow_transform as tft

from components.config import FeatureKind, parse_config
from components.schema import samples as names
from components.schema.events import CONTEXT_PREFIX

MAX_VALUES = 16
VOCABULARY_SIZE = {FeatureKind.ID: 1_000_000, FeatureKind.CATEGORICAL: 10_000, FeatureKind.MULTI_VALUED: 10_000,
                   FeatureKind.TEXT: 20_000}  # fmt: skip
MIN_COUNT = {FeatureKind.ID: 2, FeatureKind.TEXT: 5}
STANDARD_BOUND = 5.0
PASSED_ON = {names.USER_ID, names.ITEM_ID, names.TIMESTAMP, names.POSITION, names.PROPENSITY,
             CONTEXT_PREFIX + "hour", CONTEXT_PREFIX + "weekday"}  # fmt: skip
AGE_BUCKETS = 34  # 2 ** 33 s are 272 years


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict:
    """TFX Transform's entry point.

    Args:
      inputs: raw features of a batch, dense where a sample has exactly one value, else sparse.
      custom_config: ``config``, the pipeline's settings as JSON.
    """
    config = parse_config(custom_config["config"], origin="Transform")
    columns = {**config.dataset.user_features, **config.dataset.item_features}
    outputs = {}
    for name, value in inputs.items():
        if name in columns:
            outputs[name] = _column(value, columns[name].kind, name)
        elif name in PASSED_ON:
            outputs[name] = _one(value)
        elif name.startswith(CONTEXT_PREFIX):
            outputs[name] = _column(value, FeatureKind.CATEGORICAL, name)
        elif name == names.HISTORY_ITEM:
            outputs[name] = _padded(value, config.samples.history_length, "")
        elif name == names.HISTORY_AGE:
            outputs[name] = age_bucket(_padded(value, config.samples.history_length, -1.0))
        elif name == names.HISTORY_VALUE:
            outputs[name] = _padded(value, config.samples.history_length, 0.0)
        elif name == names.WINDOW:
            outputs[name] = _padded(value, 1 + config.samples.history_length, tf.constant(0, tf.int64))
        elif name == names.USER_IDLE:
            outputs[name] = age_bucket(_one(value))
        elif name.startswith(names.COUNT_PREFIX):
            outputs[name] = _standardised(tf.math.log1p(_one(value)))
        elif name.startswith(names.LABEL_PREFIX):
            task = name.removeprefix(names.LABEL_PREFIX)
            listed = names.has_drawn_negatives(config, task)
            outputs[name] = _padded(value, 1 + config.samples.negatives, 0.0) if listed else _one(value)[:, tf.newaxis]
        elif name.startswith(names.WEIGHT_PREFIX):
            outputs[name] = _one(value)
        elif name in (names.NEGATIVE_ITEM, names.NEGATIVE_PROB):
            outputs[name] = _padded(value, config.samples.negatives, "" if name == names.NEGATIVE_ITEM else 1.0)
    return outputs


def age_bucket(age_s: tf.Tensor) -> tf.Tensor:
    """1 + floor(log2(1 + seconds)) as int64, 0 where there is no age (negative)."""
    bucket = tf.cast(tf.math.log1p(tf.maximum(age_s, 0.0)) / 0.6931472, tf.int64)
    return tf.where(age_s < 0, tf.zeros_like(bucket), tf.minimum(bucket, AGE_BUCKETS - 2) + 1)


def _column(value: object, kind: FeatureKind, name: str) -> tf.Tensor:
    if kind in (FeatureKind.NUMBER, FeatureKind.TIMESTAMP):
        return _number(value)
    vocabulary = {
        "top_k": VOCABULARY_SIZE[kind],
        "frequency_threshold": MIN_COUNT.get(kind),
        "default_value": -1,
        "vocab_filename": f"vocabulary_{name}",
    }
    if kind in (FeatureKind.CATEGORICAL, FeatureKind.ID):
        return tft.compute_and_apply_vocabulary(_one(value), **vocabulary) + 1
    places = tft.compute_and_apply_vocabulary(value, **vocabulary)
    shifted = tf.SparseTensor(places.indices, places.values + 1, places.dense_shape)
    return _padded(shifted, MAX_VALUES, tf.constant(-1, tf.int64))


def _number(value: tf.SparseTensor) -> tf.Tensor:
    """Standardised where present, 0, the mean, where missing."""
    scaled = tft.scale_to_z_score(value)
    return tf.clip_by_value(_padded(scaled, 1, 0.0), -STANDARD_BOUND, STANDARD_BOUND)


def _standardised(value: tf.Tensor) -> tf.Tensor:
    scaled = tft.scale_to_z_score(value)
    return tf.clip_by_value(scaled, -STANDARD_BOUND, STANDARD_BOUND)[:, tf.newaxis]


def _one(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [-1])


def _padded(value: tf.SparseTensor, length: int, pad: object) -> tf.Tensor:
    """[batch, length]: cut at ``length``, filled up with ``pad``."""
    batch = value.dense_shape[0]
    cut = tf.sparse.slice(value, [0, 0], [batch, length])
    # slice() keeps the narrower of both widths, so the full width is set by hand.
    wide = tf.SparseTensor(cut.indices, cut.values, tf.stack([batch, tf.constant(length, tf.int64)]))
    return tf.reshape(tf.sparse.to_dense(wide, default_value=pad), [-1, length])
