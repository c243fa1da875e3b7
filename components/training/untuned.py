"""tf.data without its tuner."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, and whatever is made of it, without TensorFlow's tuner: AUTOTUNE then means as many as there are cores.

    Whoever lets go of an iterator waits for the tuner's thread to end. It is woken a moment before it can see that it is
    to end, and then, half of the time on two busy cores, it sleeps on for as long as the iterator was in use, up to a
    minute (TensorFlow 2.20, ``Model::OptimizeLoop`` and ``CancellationManager::StartCancel``): each epoch took up to twice
    as long.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
