import math

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.models.items import PAD
from components.models.multi_task import MultiTaskRanker
from components.models.tasks import Task

BUY = Task("buy", "choice", weight=1.0, score_weight=1.0)
LIKE = Task("like", "binary", weight=0.5, score_weight=0.25)
DWELL = Task("dwell", "regression", weight=2.0, score_weight=0.0)


class Affine(keras.Model):
    """A ranker whose logits are the candidates' rows times a weight a task."""

    def __init__(self, task_count: int) -> None:
        super().__init__()
        self.scale = self.add_weight("scale", [task_count], initializer="ones")

    def call(self, features: dict[str, tf.Tensor], rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.cast(rows, tf.float32)[..., tf.newaxis] * self.scale


def losses(tasks: tuple[Task, ...], logits: list, **inputs: list) -> dict[str, float]:
    model = MultiTaskRanker(Affine(len(tasks)), tasks)
    made = model.losses_of(
        tf.constant(logits, tf.float32),
        {name: tf.constant(value, tf.int32 if name.endswith("row") else tf.float32) for name, value in inputs.items()},
    )
    return {name: float(value) for name, value in made.items()}


def test_choice_is_the_softmax_of_the_first_among_the_candidates() -> None:
    # exp: 2 of 2 + 1 + 5, and 1 of 1 + 1 + 2: −log(2/8) and −log(1/4), whose mean is log 4.
    logits = np.log([[2, 1, 5], [1, 1, 2]])[..., None]
    made = losses((BUY,), logits, candidate_row=[[7, 8, 9], [7, 8, 9]], label_buy=[1, 1], weight_buy=[1, 1], returned=[1, 1])
    assert made == {"loss_buy": pytest.approx(math.log(4))}


def test_choice_leaves_repeats_of_the_first_out() -> None:
    # The middle candidate is the first once more: 2 of 2 + 5.
    logits = np.log([[2, 1, 5]])[..., None]
    made = losses((BUY,), logits, candidate_row=[[7, 7, 9]], label_buy=[1], weight_buy=[1], returned=[1])
    assert made["loss_buy"] == pytest.approx(math.log(7 / 2))


def test_choice_leaves_places_without_a_candidate_out() -> None:
    logits = np.log([[2, 1, 5]])[..., None]
    made = losses((BUY,), logits, candidate_row=[[7, 8, PAD]], label_buy=[1], weight_buy=[1], returned=[1])
    assert made["loss_buy"] == pytest.approx(math.log(3 / 2))


@pytest.mark.parametrize(
    ("label", "weight", "returned"), [([1, 0], [1, 1], [1, 1]), ([1, 1], [1, 0], [1, 1]), ([1, 1], [1, 1], [1, 0])]
)
def test_choice_learns_only_from_observed_positives_that_recall_returned(
    label: list[int], weight: list[int], returned: list[int]
) -> None:
    # Only the first counts in each case: 1 of 1 + 3.
    logits = np.log([[1, 3], [9, 1]])[..., None]
    made = losses((BUY,), logits, candidate_row=[[7, 8], [7, 8]], label_buy=label, weight_buy=weight, returned=returned)
    assert made["loss_buy"] == pytest.approx(math.log(4))


def test_binary_is_the_cross_entropy_of_the_first_candidate() -> None:
    # Probabilities 3/4 and 1/5 from odds 3 and 1/4; labels 1 and 0; the last one was not observed. The second candidates
    # take no part. (1 · −log(3/4) + 3 · −log(4/5)) / 4.
    logits = np.log([[3, 99], [1 / 4, 99], [99, 99]])[..., None]
    made = losses((LIKE,), logits, label_like=[1, 0, 1], weight_like=[1, 3, 0])
    assert made["loss_like"] == pytest.approx((math.log(4 / 3) + 3 * math.log(5 / 4)) / 4)


def test_regression_is_the_squared_error() -> None:
    # (2 − 5)² · 1 + (4 − 3)² · 0.5, over the weight of 1.5.
    made = losses((DWELL,), [[[2.0]], [[4.0]]], label_dwell=[5, 3], weight_dwell=[1, 0.5])
    assert made["loss_dwell"] == pytest.approx(9.5 / 1.5)


def test_a_task_that_no_sample_observed_costs_nothing() -> None:
    made = losses((LIKE, DWELL), [[[2.0, 2.0]]], label_like=[0], weight_like=[0], label_dwell=[0], weight_dwell=[0])
    assert made == {"loss_like": 0, "loss_dwell": 0}


def batch() -> dict[str, tf.Tensor]:
    return {
        "candidate_row": tf.constant([[1, 2], [2, 0]]),
        "label_buy": tf.constant([1.0, 1.0]),
        "weight_buy": tf.constant([1.0, 1.0]),
        "returned": tf.constant([1.0, 1.0]),
        "label_dwell": tf.constant([3.0, 4.0]),
        "weight_dwell": tf.constant([1.0, 1.0]),
    }


def test_a_step_lowers_the_weighted_sum() -> None:
    model = MultiTaskRanker(Affine(2), (BUY, DWELL))
    model.compile(optimizer=keras.optimizers.legacy.SGD(0.1))
    report = model.train_step(batch())
    # Logits are the rows: for the choice −log(e/(e + e²)) and −log(e²/(e² + 1)), for the dwell time (3 − 1)² and (4 − 2)².
    buy = (math.log(1 + math.e) + math.log(1 + math.exp(-2))) / 2
    assert float(report["loss_buy"]) == pytest.approx(buy, rel=1e-5)
    assert float(report["loss_dwell"]) == pytest.approx(4.0)
    assert float(report["loss"]) == pytest.approx(buy + 2 * 4.0, rel=1e-5)
    # d loss_dwell / d scale = mean of −2 · row · error = (−2·1·2 − 2·2·2) / 2 = −6, times the weight 2 and the rate 0.1.
    assert model.ranker.scale[1].numpy() == pytest.approx(1 + 0.1 * 2 * 6)


class Costly(Affine):
    """Adds a loss of its own, as DIEN does."""

    def call(self, features: dict[str, tf.Tensor], rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.add_loss(3.0 * tf.reduce_sum(self.scale))
        return super().call(features, rows)


def test_a_step_adds_the_losses_of_the_ranker_itself() -> None:
    model = MultiTaskRanker(Costly(1), (DWELL,))
    model.compile(optimizer=keras.optimizers.legacy.SGD(0.1))
    for _ in range(2):  # the second step must not see the first one's loss again
        scale = float(model.ranker.scale[0])
        report = model.train_step(batch())
        # Dwell times 3 and 4 of rows 1 and 2, and the weight 2 of the task.
        of_task = 2 * ((3 - scale) ** 2 + (4 - 2 * scale) ** 2) / 2
        assert float(report["loss"]) == pytest.approx(of_task + 3 * scale, rel=1e-5)
