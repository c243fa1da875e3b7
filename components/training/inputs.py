"""tf.data from sample files: read and decoded in parallel, transformed once, shuffled every epoch."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.training.untuned import untuned

READ_SHUFFLE = 200_000
ROWS_PER_BLOCK = 8_192
BLOCKS_SHUFFLED = 32


def transformed(
    files: Sequence[str],
    transform: tft.TFTransformOutput,
    keep: Iterable[str],
    then: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    shuffled: bool,
) -> tf.data.Dataset:
    """Blocks of transformed samples, each feature named in ``keep`` as [ROWS_PER_BLOCK, …].

    Args:
      then: applied to each block.
      shuffled: mix the files' samples; each file holds some users' samples in the order of time.
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
    if shuffled:
        examples = examples.shuffle(READ_SHUFFLE, seed=17, reshuffle_each_iteration=False)  # once, as blocks are cached
    return untuned(examples.batch(ROWS_PER_BLOCK).map(decode, num_parallel_calls=tf.data.AUTOTUNE))


def training_batches(blocks: tf.data.Dataset, batch_size: int, seed: int, epoch: int) -> tf.data.Dataset:
    """An epoch's full batches, in an order that follows from the blocks, the seed and the epoch."""

    def permute(block: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(next(iter(block.values())))[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(rows), seed)
        return {name: tf.gather(value, order) for name, value in block.items()}

    mixed = blocks.shuffle(BLOCKS_SHUFFLED, seed=_of_epoch(seed, epoch), reshuffle_each_iteration=False)
    mixed = with_seeds(mixed, seed, epoch).map(permute, num_parallel_calls=tf.data.AUTOTUNE)
    return mixed.rebatch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def with_seeds(elements: tf.data.Dataset, seed: int, epoch: int) -> tf.data.Dataset:
    """Each element with a seed of its own, int64 [2], another in each epoch: draws that do not depend on who comes first."""
    return tf.data.Dataset.zip(
        elements, tf.data.Dataset.random(_of_epoch(seed, epoch), rerandomize_each_iteration=False).batch(2)
    )


def _of_epoch(seed: int, epoch: int) -> int:
    """A seed for one epoch, far from those of other epochs and of neighbouring seeds."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def part_of(batches: tf.data.Dataset, place: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
    """From the batches of all replicas to those of one process: its rows of each, in one piece for each of its replicas."""
    piece = batch_size // place.num_replicas_in_sync
    rows = batch_size // place.num_input_pipelines
    first = rows * place.input_pipeline_id

    def own(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: value[first : first + rows] for name, value in batch.items()}

    return batches.map(own, num_parallel_calls=tf.data.AUTOTUNE).rebatch(piece).prefetch(tf.data.AUTOTUNE)
