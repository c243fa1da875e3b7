"""What is measured of samples that were observed; the training itself is tried by the pipelines' tests."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import parse_config
from components.models.tasks import Task
from components.ranking.trainer import asks_recall, auc_of, blend, calibrations_of, ranking_tasks
from tests.pipelines.conftest import ratings_config, shop_config

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


@pytest.mark.parametrize(("logit", "label"), [([1, 2], [1, 1]), ([1, math.nan], [1, 0])])
def test_an_auc_that_cannot_be_told_is_nan(logit: list[float], label: list[float]) -> None:
    assert math.isnan(auc_of(Told(), samples(logit, label), TASKS, "click"))


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


@pytest.mark.parametrize(("positive", "asks"), [("rate", True), ("like", False)])
def test_a_ranker_of_observed_outcomes_does_not_ask_what_learnt_them(positive: str, asks: bool) -> None:
    raw = ratings_config()
    raw["samples"]["positive"] = positive
    config = parse_config(json.dumps(raw), origin="test")
    assert asks_recall(config) == asks
    assert {task.name: task.kind for task in ranking_tasks(config)} == {"rate": "choice", "like": "binary"}
    assert not asks_recall(parse_config(json.dumps(shop_config()), origin="test"))


class Apart(keras.Model):
    """A ranker whose logits, and recall's scores, stand in the moments."""

    def __init__(self) -> None:
        super().__init__()
        self.blend = tf.Variable([1.0, 1.0], trainable=False)

    def own(self, features: Mapping[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        return tf.stack([features["own"], features["noise"]], axis=-1)

    def recalled(self, features: Mapping[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        return features["recalled"]


CHOICES = (Task("buy", "choice", 1.0, 2.0), Task("view", "choice", 1.0, 0.0))


def moments(count: int, found: float, seed: int = 4) -> tf.data.Dataset:
    """Of five candidates and a place left over; chosen by 1.5 · the score's own logits and 0.5 · recall's."""
    rng = np.random.default_rng(seed)
    own, recalled, noise = rng.normal(size=(3, count, 6)).astype(np.float32)
    rows = np.tile(np.int32([3, 1, 4, 0, 5, -1]), (count, 1))
    said = 1.5 * 2 * own + 0.5 * 2 * recalled + rng.gumbel(size=own.shape)
    chosen = rows[np.arange(count), said[:, :5].argmax(axis=1)]
    item = np.where(rng.random(count) < found, chosen, 2).astype(np.int32)
    own[:, 5] = recalled[:, 5] = 9
    columns = {"own": own, "recalled": recalled, "noise": noise, "recall_row": rows, "item_row": item}
    return tf.data.Dataset.from_tensor_slices(columns).batch(512)


def test_the_ranker_and_recall_count_as_they_tell_the_wanted_item() -> None:
    """In the units of one logit: the score doubles both. The task that is no part of the score has no say."""
    ranker = Apart()
    told = blend(ranker, moments(8_000, found=0.7), CHOICES)  # type: ignore[arg-type]
    np.testing.assert_allclose(ranker.blend, [1.5, 0.5], rtol=0.1)
    assert told == {"ranker_weight": float(ranker.blend[0]), "recall_weight": float(ranker.blend[1])}


def test_where_recall_finds_nothing_both_count_as_before() -> None:
    ranker = Apart()
    blend(ranker, moments(50, found=0.0), CHOICES)  # type: ignore[arg-type]
    np.testing.assert_array_equal(ranker.blend, [1.0, 1.0])
