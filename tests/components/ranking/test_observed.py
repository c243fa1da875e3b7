"""What a ranker's logits are worth where outcomes were observed."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import parse_config
from components.errors import DataError
from components.models.tasks import Task
from components.ranking.observed import auc_of, calibrations_of
from tests.pipelines.conftest import shop_config

TASKS = (Task("dwell", "regression", 1.0, 0.0, None), Task("click", "binary", 1.0, 1.0, None))


class Told(keras.Model):
    """A model whose logits stand in the samples."""

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        logit = inputs["logit"][:, tf.newaxis] * tf.ones_like(inputs["candidate_row"], tf.float32)
        return tf.stack([tf.zeros_like(logit), logit], axis=-1)


def samples(logit: list[float], label: list[float], weight: list[float] | None = None, **more: list) -> tf.data.Dataset:
    """In batches of three."""
    columns = {
        "logit": np.float32(logit),
        "item_row": np.zeros(len(logit), np.int32),
        "label_click": np.float32(label),
        "weight_click": np.float32([1] * len(logit) if weight is None else weight),
        **{name: np.array(values) for name, values in more.items()},
    }
    return tf.data.Dataset.from_tensor_slices(columns).batch(3)


def test_auc_is_of_the_pairs_in_order() -> None:
    # The positives' 2 and 0 against the negatives' 1, 0 and -1: 3 + 1.5 of 6 pairs; what was not observed does not count.
    made = auc_of(Told(), samples([2, 0, 1, 0, -1, 9], [1, 1, 0, 0, 0, 0], [1, 2, 1, 1, 1, 0]), TASKS, "click")
    assert made == pytest.approx(4.5 / 6)


def test_the_auc_of_a_model_that_says_no_number_is_none() -> None:
    assert math.isnan(auc_of(Told(), samples([1, math.nan], [1, 0]), TASKS, "click"))


def test_samples_that_all_came_to_the_same_have_no_auc() -> None:
    with pytest.raises(DataError, match="all 2 samples of the validation split that observed task 'click' came to the same"):
        auc_of(Told(), samples([1, 2, 3], [1, 1, 0], [1, 1, 0]), TASKS, "click")


def test_each_device_is_calibrated_for_itself() -> None:
    """Logits that are right for device 0, and 2 too high for device 1; of device 2 there are few."""
    config = parse_config(json.dumps(shop_config()), origin="test")
    rng = np.random.default_rng(5)
    device = np.repeat([0, 1, 2], [3_000, 3_000, 30])
    true = rng.normal(0, 1, len(device))
    label = rng.random(len(device)) < 1 / (1 + np.exp(-true))
    logit = true + 2 * (device == 1)
    found = calibrations_of(Told(), samples(logit, label, context_device=device[:, np.newaxis]), TASKS, config)
    assert list(found) == ["click"]
    assert sorted(found["click"].of_value) == [0, 1]
    probs = found["click"].of(tf.constant([0, 1], tf.int64))(tf.constant([[0.0], [2.0]]))
    np.testing.assert_allclose(probs, [[0.5], [0.5]], atol=0.05)
