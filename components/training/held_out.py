"""The moments of the validation split that a training is stopped by: what the funnel will be asked at the test split's."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.errors import DataError
from components.features.seen import seen_by_samples
from components.schema import samples as names
from components.training.context import TrainingContext
from components.training.untuned import untuned

SEEN = "seen_row"


def held_out(context: TrainingContext, keep: Iterable[str], count: int) -> tf.data.Dataset:
    """Positives of the task that the funnel is judged by, at most ``count`` of them from all over the split, one by one.

    Each has the features named in ``keep``, and under ``SEEN`` int32 [s] the rows of all that its user had before, padded
    with -1: the funnel leaves them out, and the history in the sample may be shorter.

    Raises:
      DataError: there is none.
    """
    config, keep = context.config, set(keep)
    label = names.LABEL_PREFIX + config.positive_task
    blocks = context.blocks(context.eval_files, {*keep, names.USER_ID, names.TIMESTAMP, label}, shuffled=True)
    positives = blocks.unbatch().filter(lambda sample: sample[label][0] > 0).take(count).batch(count)
    columns = next(positives.as_numpy_iterator(), None)
    if columns is None:
        raise DataError(
            f"the validation split holds no positive of task {config.positive_task!r}, so that no training can be judged; see "
            "samples.split in the config"
        )
    users = np.array([user.decode() for user in columns[names.USER_ID]], object)
    item_ids = pa.array(context.item_facts.ids, pa.string())
    seen = seen_by_samples(context.inputs["event_log"], item_ids, config, users, columns[names.TIMESTAMP], "eval")
    return untuned(tf.data.Dataset.from_tensor_slices({**{name: columns[name] for name in keep}, SEEN: seen}))
