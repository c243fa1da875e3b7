import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.models.items import ItemFacts, ItemTable
from components.models.pairs import Pairs
from components.models.softmax import FullSoftmax, SampledSoftmax
from components.models.towers import ItemTower

DIM = 4
ROWS, WEIGHT = np.array([0, 2, 2], np.int32), np.array([1.0, 0.5, 0.0], np.float32)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(7)


def tower(count: int) -> ItemTower:
    return ItemTower(
        ItemTable(ItemFacts([f"i{row}" for row in range(count)], (), {}, np.ones(count, bool))),
        DIM,
        (),
        id_dropout=0.0,
        dropout=0.0,
    )


@pytest.fixture
def pairs() -> Pairs:
    return Pairs(tf.random.normal([3, DIM], seed=1), tf.constant(ROWS), tf.constant(WEIGHT))


def test_the_full_softmax_by_hand(pairs: Pairs) -> None:
    items = tower(5)
    scores = pairs.queries.numpy() @ items(tf.range(5)).numpy().T
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(3), ROWS]
    made = FullSoftmax(items, tf.zeros(6), 0)(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-5)


def test_the_sampled_softmax_leaves_accidental_hits_out(pairs: Pairs) -> None:
    """Of a catalogue of one item every draw is a hit, and nothing is left to tell it from."""
    only = Pairs(pairs.queries, tf.zeros_like(pairs.rows), pairs.weight)
    assert float(SampledSoftmax(tower(1), tf.zeros(2), 10)(only)) == pytest.approx(0.0, abs=1e-6)


def test_the_sampled_softmax_of_many_draws(pairs: Pairs) -> None:
    """Each other item is drawn about negatives / items times: −log(e^s_i / (e^s_i + k / n Σ_{j ≠ i} e^s_j))."""
    items, drawn = tower(5), 200_000
    scores = np.exp(pairs.queries.numpy() @ items(tf.range(5)).numpy().T)
    own = scores[np.arange(3), ROWS]
    losses = -np.log(own / (own + drawn / 5 * (scores.sum(axis=1) - own)))
    made = SampledSoftmax(items, tf.zeros(6), drawn)(pairs)
    assert float(made) == pytest.approx((losses * WEIGHT).sum() / 1.5, rel=1e-3)
