import math

import numpy as np
import tensorflow as tf

from components.models.tasks import Task, combined_score, joint_logits, logit_of_product, predictions

BUY = Task("buy", "choice", weight=1.0, score_weight=1.0)
LIKE = Task("like", "binary", weight=0.5, score_weight=0.25)
DWELL = Task("dwell", "regression", weight=2.0, score_weight=0.0)
# In an order in which what follows comes before what it follows.
FUNNEL = (
    Task("order", "binary", 1.0, 1.0, after="basket"),
    Task("click", "binary", 1.0, 1.0),
    Task("basket", "binary", 1.0, 1.0, after="click"),
    Task("dwell", "regression", 1.0, 0.0),
)


def logit(prob: float) -> float:
    return math.log(prob / (1 - prob))


def test_combined_score_weighs_each_logit() -> None:
    logits = tf.constant([[[1.0, 8.0, 100.0], [2.0, -4.0, 100.0]]])
    np.testing.assert_allclose(combined_score(logits, (BUY, LIKE, DWELL)), [[1 + 2, 2 - 1]])


def test_predictions_are_probabilities_and_values() -> None:
    logits = tf.constant([[[math.log(3), math.log(1 / 4), 42.0]]])
    made = predictions(logits, (BUY, LIKE, DWELL), {})
    assert {name: round(value.numpy().item(), 6) for name, value in made.items()} == {"buy": 0.75, "like": 0.2, "dwell": 42.0}


def test_predictions_are_calibrated_where_there_is_a_map() -> None:
    logits = tf.constant([[[1.0, 2.0, 3.0]]])
    made = predictions(logits, (BUY, LIKE, DWELL), {"like": lambda each: each / 10})
    np.testing.assert_allclose(made["like"], [[0.2]])
    np.testing.assert_allclose(made["buy"], tf.sigmoid([[1.0]]))


def test_both_happen_no_more_often_than_one() -> None:
    """However the two are calibrated: what comes last here is said to be likelier than what must come before it."""
    own = {"order": lambda each: each / 5, "click": lambda each: each / 10, "basket": lambda each: each / 20}
    made = predictions(tf.constant([[[4.0, 3.0, 2.0, 7.0]]]), FUNNEL, own)
    np.testing.assert_allclose([made[name][0, 0] for name in ("click", "basket", "order", "dwell")], [0.3, 0.1, 0.1, 7.0])


def test_what_comes_after_is_a_product() -> None:
    # P(click) = 0.4, P(basket | click) = 0.5, P(order | basket) = 0.25: 0.4, 0.2 and 0.05 of all impressions.
    own = tf.constant([[[logit(0.25), logit(0.4), logit(0.5), 7.0]]], tf.float32)
    made = joint_logits(own, FUNNEL)
    np.testing.assert_allclose(tf.sigmoid(made[0, 0, :3]), [0.05, 0.4, 0.2], rtol=1e-5)
    assert float(made[0, 0, 3]) == 7.0


def test_tasks_of_their_own_stay_as_they_are() -> None:
    own = tf.constant([[[1.0, -2.0, 3.0]]])
    np.testing.assert_array_equal(joint_logits(own, (BUY, LIKE, DWELL)), own)


def test_products_near_0_and_1_are_exact() -> None:
    # σ(−40) σ(0) = e^−40 / 2; 1 − σ(30)² = 2 e^−30, which float32 probabilities cannot tell from 0.
    made = logit_of_product(tf.constant([-40.0, 30.0]), tf.constant([0.0, 30.0]))
    np.testing.assert_allclose(made, [-40 - math.log(2), 30 - math.log(2)], rtol=1e-6)


def test_a_purchase_teaches_the_click_too() -> None:
    """The loss on the product (Ma et al. 2018, eq. 3) reaches both factors: d −log σ(a) σ(b) / da = −(1 − σ(a))."""
    own = tf.Variable([[logit(0.2), logit(0.4)]])
    tasks = (Task("click", "binary", 1.0, 1.0), Task("buy", "binary", 1.0, 1.0, after="click"))
    with tf.GradientTape() as tape:
        loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=[1.0], logits=joint_logits(own, tasks)[:, 1])
    np.testing.assert_allclose(loss, [-math.log(0.2 * 0.4)], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(loss, own), [[-0.8, -0.6]], rtol=1e-4)
