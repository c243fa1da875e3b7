"""tf.data from sample files: read and decoded in parallel, transformed once, shuffled every epoch."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

READ_SHUFFLE = 200_000
ROWS_PER_BLOCK = 8_192
BLOCKS_SHUFFLED = 32


def transformed(
    files: Sequence[str],
    transform: tft.TFTransformOutput,
    keep: Iterable[str],
    then: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    cache: Path | None,
) -> tf.data.Dataset:
    """Blocks of transformed samples, each feature named in ``keep`` as [ROWS_PER_BLOCK, …].

    Args:
      then: applied to each block.
      cache: file stem that the blocks are kept in after the first epoch, or None to read once.
    """
    raw_spec = transform.raw_feature_spec()
    layer = transform.transform_features_layer()
    kept = set(keep)

    def decode(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, raw_spec))
        return then({name: value for name, value in features.items() if name in kept})

    paths = tf.data.Dataset.from_tensor_slices(sorted(files))
    examples = paths.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP", buffer_size=8 << 20),
        cycle_length=8,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    if cache is not None:
        # Files hold a user's samples side by side: blocks are made of all files mixed, once, and reshuffled later.
        examples = examples.shuffle(READ_SHUFFLE, seed=17, reshuffle_each_iteration=False)
    blocks = examples.batch(ROWS_PER_BLOCK).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return blocks.cache(str(cache)) if cache is not None else blocks


def training_batches(blocks: tf.data.Dataset, batch_size: int, seed: int) -> tf.data.Dataset:
    """Full batches in a new order each epoch."""

    def permute(block: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = tf.shape(next(iter(block.values())))[0]
        order = tf.random.shuffle(tf.range(rows))
        return {name: tf.gather(value, order) for name, value in block.items()}

    mixed = blocks.shuffle(BLOCKS_SHUFFLED, seed=seed).map(permute, num_parallel_calls=tf.data.AUTOTUNE)
    return mixed.rebatch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(blocks: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Every sample, in one order."""
    return blocks.rebatch(batch_size).prefetch(tf.data.AUTOTUNE)
