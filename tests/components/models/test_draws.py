import numpy as np
import tensorflow as tf

from components.models import draws
from components.models.draws import drawing


def drawn(seed: int, step: int) -> list[list[float]]:
    with drawing(seed, tf.constant(step, tf.int64)):
        return [draws.uniform([4]).numpy().tolist() for _ in range(2)]


def test_draws_follow_from_seed_step_and_place_alone() -> None:
    assert drawn(1, 5) == drawn(1, 5)
    different = {tuple(numbers) for made in (drawn(1, 5), drawn(1, 6), drawn(2, 5)) for numbers in made}
    assert len(different) == 6


def test_a_traced_function_draws_anew_each_step() -> None:
    step = tf.Variable(0, dtype=tf.int64)

    @tf.function
    def ones() -> tf.Tensor:
        with drawing(3, step):
            return draws.dropout(tf.ones([1_000]), 0.25)

    first = ones().numpy()
    step.assign(1)
    second = ones().numpy()
    step.assign(0)
    np.testing.assert_array_equal(ones(), first)
    assert (first != second).any()
    # A quarter is zero, the rest 1 / (1 − 0.25).
    np.testing.assert_allclose(np.unique(first), [0, 4 / 3], rtol=1e-6)
    assert 0.2 < (first == 0).mean() < 0.3


def test_whole_numbers_lie_below_the_bound() -> None:
    with drawing(3, tf.constant(0, tf.int64)):
        assert set(draws.uniform([200], maxval=3, dtype=tf.int32).numpy().tolist()) == {0, 1, 2}


def test_attention_drops_by_the_same_draws() -> None:
    layer = draws.MultiHeadAttention(1, 2, dropout=0.5)
    x = tf.random.stateless_normal([1, 6, 2], [1, 2])
    kept = layer(x, x)
    with drawing(3, tf.constant(0, tf.int64)):
        one = layer(x, x, training=True)
    with drawing(3, tf.constant(0, tf.int64)):
        two = layer(x, x, training=True)
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - kept).max() > 1e-3
    np.testing.assert_array_equal(layer(x, x), kept)
