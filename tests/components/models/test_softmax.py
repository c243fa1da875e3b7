from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RetrievalConfig
from components.errors import ConfigError
from components.models.binary import GeneralizedBinary
from components.models.items import PAD, ItemFacts, ItemTable
from components.models.pairs import Pairs
from components.models.softmax import FullSoftmax, MixedSoftmax, SampledSoftmax, _told_apart, check_catalogue, sum_of_losses
from components.models.towers import ItemTower

DIM = 4
ROWS, WEIGHT = np.array([0, 2, 2], np.int32), np.array([1.0, 0.5, 0.0], np.float32)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(7)


def tower(count: int, *, new: int = 0) -> ItemTower:
    """Of ``count`` items that were trained, and of ``new`` ones after them."""
    ids, trained = [f"i{row}" for row in range(count + new)], np.arange(count + new) < count
    return ItemTower(ItemTable(ItemFacts(ids, (), {}, trained)), DIM, (), id_dropout=0.0, dropout=0.0)


@pytest.fixture
def pairs() -> Pairs:
    """The first two of one sample, whose user had items 1 and 2, in this order; the third of another, who had none."""
    history = tf.constant([[2, 1, PAD], [PAD, PAD, 5]])
    queries = tf.random.normal([3, DIM], seed=1)
    return Pairs(queries, tf.constant(ROWS), tf.constant(WEIGHT), history, tf.constant([0, 0, 1]), tf.constant([0, 1, 0]))


def _gradients(of: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *values: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(values)
        made = of(*values) * 3.0
    return [made, *tape.gradient(made, values)]


LEFT_OUT = np.array([[0, 1, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)  # of five items


def test_the_full_softmax_by_hand(pairs: Pairs) -> None:
    items = tower(5)
    scores = pairs.queries.numpy() @ items(tf.range(5)).numpy().T
    losses = np.log(np.where(LEFT_OUT, 0, np.exp(scores)).sum(axis=1)) - scores[np.arange(3), ROWS]
    made = FullSoftmax(items, tf.zeros(6), RetrievalConfig())(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-5)


def test_an_item_had_before_can_be_wanted_again(pairs: Pairs) -> None:
    again = pairs._replace(rows=tf.constant([1, 2, 2]), weight=tf.constant([1.0, 0.0, 0.0]))
    items = tower(5)
    scores = (pairs.queries.numpy() @ items(tf.range(5)).numpy().T)[0]
    left = np.exp(scores)[[0, 1, 3, 4]].sum()
    assert float(FullSoftmax(items, tf.zeros(6), RetrievalConfig())(again)) == pytest.approx(np.log(left) - scores[1], rel=1e-5)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_the_full_softmax_s_gradients_are_those_of_its_formula(pairs: Pairs, at_once: int) -> None:
    vectors = tf.random.normal([5, DIM], seed=2)

    def plain(queries: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        scores = tf.where(LEFT_OUT, -1e9, tf.matmul(queries, vectors, transpose_b=True))
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(ROWS, scores) * WEIGHT)

    def fused(queries: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        return sum_of_losses(pairs._replace(queries=queries), vectors, np.ones(5, bool), at_once)

    made, expected = (_gradients(function, pairs.queries, vectors) for function in (fused, plain))
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_sampled_softmax_leaves_accidental_hits_out(pairs: Pairs) -> None:
    """Of a catalogue of one item every draw is a hit, and nothing is left to tell it from."""
    only = pairs._replace(rows=tf.zeros_like(pairs.rows))
    assert float(
        SampledSoftmax(tower(1), tf.zeros(2), RetrievalConfig(loss="sampled", loss_negatives=10))(only)
    ) == pytest.approx(0.0, abs=1e-6)


def test_the_sampled_softmax_of_many_draws(pairs: Pairs) -> None:
    """Each other item is drawn about negatives / items times: −log(e^s_i / (e^s_i + k / n Σ_{j ≠ i} e^s_j))."""
    items, drawn = tower(5), 200_000
    scores = np.exp(pairs.queries.numpy() @ items(tf.range(5)).numpy().T)
    own = scores[np.arange(3), ROWS]
    losses = -np.log(own / (own + drawn / 5 * (scores.sum(axis=1) - own)))
    made = SampledSoftmax(items, tf.zeros(6), RetrievalConfig(loss="sampled", loss_negatives=drawn))(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-3)


def test_the_hardest_negatives_are_those_that_score_best(pairs: Pairs) -> None:
    """Of so many draws the k best are k times the best item, of which there are k draws."""
    items, k = tower(5), 3
    scores = pairs.queries.numpy() @ items(tf.range(5)).numpy().T
    own = scores[np.arange(3), ROWS]
    scores[np.arange(3), ROWS] = -np.inf
    losses = np.log(np.exp(own) + k * np.exp(scores.max(axis=1))) - own
    settings = RetrievalConfig(loss="sampled", loss_negatives=1_000, loss_hardest=k)
    assert float(SampledSoftmax(items, tf.zeros(6), settings)(pairs)) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (FullSoftmax, {}),
        (SampledSoftmax, {"loss": "sampled", "loss_negatives": 5_000}),
        (MixedSoftmax, {"loss": "mixed", "loss_negatives": 5_000}),
        (GeneralizedBinary, {"loss": "gbce", "loss_negatives": 5_000}),
    ],
)
def test_items_that_nobody_had_are_not_pushed_away(pairs: Pairs, loss: Any, settings: dict[str, Any]) -> None:
    """They share one vector, which no pair's own item ever pulls: any gradient would be that of negatives."""
    items = tower(3, new=2)
    items(tf.range(5))
    with tf.GradientTape() as tape:
        made = loss(items, tf.fill([6], 0.2), RetrievalConfig(**settings))(pairs)
    gradient = tf.convert_to_tensor(tape.gradient(made, items.trainable_weights[0]))
    assert np.abs(gradient[1]).min() > 0
    np.testing.assert_array_equal(gradient[0], np.zeros(DIM))


def test_the_hardest_of_mixed_negatives_are_chosen_without_the_correction(pairs: Pairs) -> None:
    """Recall knows no correction: an item that is rare and far away is not hard."""
    rows, scores, log_chance = tf.constant([1, 3, 4]), tf.constant([[0.0, 3.0, 2.0]] * 3), tf.constant([-20.0, -1.0, -1.5])
    made = _told_apart(pairs, tf.zeros(3), rows, scores, 2, log_chance)
    loss = np.log(1 + np.exp(3.0 + 1.0) + np.exp(2.0 + 1.5))
    assert float(made) == pytest.approx(loss, rel=1e-5)


def test_the_mixed_softmax_by_hand(pairs: Pairs) -> None:
    """Of many draws each item comes evenly; the batch's own three come on top."""
    items, drawn = tower(5), 200_000
    frequency = np.array([0.4, 0.1, 0.3, 0.1, 0.1, 1.0], np.float32)
    scores = pairs.queries.numpy() @ items(tf.range(5)).numpy().T
    chance = (3 * frequency[:5] + drawn / 5) / (3 + drawn)
    powers = np.exp(scores) / chance
    counts = np.full(5, drawn / 5) + np.bincount(ROWS, minlength=5)
    own = powers[np.arange(3), ROWS]
    losses = -np.log(own / (own + (powers * counts).sum(axis=1) - own * counts[ROWS]))
    settings = RetrievalConfig(loss="mixed", loss_negatives=drawn)
    made = MixedSoftmax(items, tf.constant(frequency), settings)(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-3)


def test_a_catalogue_that_is_too_large_for_all_its_scores_is_refused() -> None:
    check_catalogue(1_000_000, 1_024)
    with pytest.raises(ConfigError, match="all of 3,000,000 items in batches of 512, wanted batches of up to 357, or another"):
        check_catalogue(3_000_000, 512)
