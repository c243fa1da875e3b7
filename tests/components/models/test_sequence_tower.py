import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RetrievalConfig
from components.models.features import Slot
from components.models.items import PAD, ItemFacts, ItemTable
from components.models.recurrent import Recurrent
from components.models.self_attention import SelfAttention
from components.models.sequence_tower import SequenceTower
from components.models.softmax import FullSoftmax
from components.models.towers import ItemTower
from components.models.two_tower import TwoTower
from components.training.recall import without_rows

ITEMS, DIM, LENGTH = 9, 8, 5


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(3)


@pytest.fixture
def items() -> ItemTower:
    facts = ItemFacts([f"i{row}" for row in range(ITEMS)], (), {}, np.ones(ITEMS, bool))
    return ItemTower(ItemTable(facts), DIM, hidden=(), id_dropout=0.0, dropout=0.0)


@pytest.fixture(params=["self_attention", "gru"])
def tower(items: ItemTower, request: pytest.FixtureRequest) -> SequenceTower:
    encoders = {
        "self_attention": lambda: SelfAttention(DIM, LENGTH, blocks=2, heads=2, dropout=0.0),
        "gru": lambda: Recurrent(DIM, layers=2, dropout=0.0),
    }
    return SequenceTower(items, (Slot("group", "category", 3),), DIM, encoders[request.param]())


def samples(histories: list[list[int]], items: list[int]) -> dict[str, tf.Tensor]:
    """Latest first, padded to the longest."""
    width = max(map(len, histories))
    padded = [history + [PAD] * (width - len(history)) for history in histories]
    return {
        "history_row": tf.constant(padded, tf.int32),
        "group": tf.range(len(items), dtype=tf.int64) % 3,
        "item_row": tf.constant(items, tf.int32),
        "weight": tf.ones(len(items)),
        "window": tf.ones([len(items), 1 + width], tf.int64),
    }


def test_self_attention_by_its_formula() -> None:
    """One block and one head, in numpy: the state of place i sees the places from i on, up to where the history began."""
    dim, length = 4, 3
    encoder = SelfAttention(dim, length, blocks=1, heads=1, dropout=0.0)
    events = np.random.default_rng(1).normal(size=(1, length + 1, dim)).astype(np.float32)
    lengths = np.array([2])  # place 2 is where the history began; place 3 means nothing
    made = encoder(tf.constant(events), tf.constant(lengths, tf.int32))[0]
    [block] = encoder._blocks
    attend, places = block._attend, encoder._places.numpy()
    query, key, value, out = (
        layer.get_weights()[0] for layer in (attend._query_dense, attend._key_dense, attend._value_dense, attend._output_dense)
    )
    widen, narrow = (layer.get_weights()[0] for layer in (block._widen, block._narrow))

    def normed(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)  # as built: scale 1, offset 0

    x = events[0] + places
    before = normed(x)
    asked, told, brought = (before @ kernel[:, 0] for kernel in (query, key, value))
    scores = asked @ told.T / np.sqrt(dim)
    place = np.arange(length + 1)
    scores[(place[:, None] > place) | (place > lengths[0])] = -np.inf
    shares = np.exp(scores[:3]) / np.exp(scores[:3]).sum(-1, keepdims=True)
    x = x[:3] + (shares @ brought) @ out[0]
    wide = normed(x) @ widen
    x = x + (wide * (1 + np.vectorize(math.erf)(wide / math.sqrt(2))) / 2) @ narrow
    np.testing.assert_allclose(made[:3], normed(x), rtol=1e-4, atol=1e-5)


def test_gru_reads_from_where_the_history_began() -> None:
    """Keras' own GRU, given the events oldest first, ends in the state of place 0."""
    encoder, theirs = Recurrent(4, layers=1, dropout=0.0), keras.layers.GRU(4, return_sequences=True)
    events = tf.random.stateless_normal([1, 4, 4], [3, 4])
    made = encoder(events, tf.constant([2]))
    theirs(events)
    theirs.set_weights(encoder._layers[0].get_weights())
    oldest_first = tf.reverse(events[:, :3], axis=[1])  # place 2 is where it began; place 3 means nothing
    expected = encoder._out(tf.reverse(theirs(oldest_first), axis=[1]))
    np.testing.assert_allclose(made[:, :3], expected, rtol=1e-5, atol=1e-6)


def test_a_saved_tower_gives_the_same_vectors(tower: SequenceTower, tmp_path: Path) -> None:
    """Saved once, for any number of requests and items of the history, after some training."""
    batch = samples([[5, 3, 4], [2], []], [7, 6, 1])
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(3):
        with tf.GradientTape() as tape:
            pairs = tower.training_pairs(batch)
            loss = tf.reduce_sum((pairs.queries - 1.0) ** 2)
        optimizer.minimize(loss, tower.trainable_variables, tape=tape)
    read = ("history_row", "group")
    spec = {name: tf.TensorSpec([None] * len(batch[name].shape), batch[name].dtype, name) for name in read}
    module = tf.Module()
    module.kept = tower.variables
    module.vectors = tf.function(lambda features: tower(features), input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    saved = tf.saved_model.load(str(tmp_path))  # its variables live as long as it does
    for features in (batch, samples([[5]], [7])):
        features = {name: features[name] for name in read}
        np.testing.assert_allclose(saved.vectors(features), tower(features), rtol=1e-5, atol=1e-6)


def test_each_place_is_to_find_what_came_next(tower: SequenceTower) -> None:
    pairs = tower.training_pairs(samples([[5, 3, 4], [2], []], [7, 6, 1]))
    assert pairs.rows.numpy().tolist() == [7, 5, 3, 4, 6, 2, 1]
    assert pairs.queries.shape == (7, DIM)
    assert pairs.weight.numpy().tolist() == [1.0] * 7
    assert pairs.sample.numpy().tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert pairs.place.numpy().tolist() == [0, 1, 2, 3, 0, 1, 0]  # from where the history had been gone through


def test_only_what_the_window_names_is_learnt(tower: SequenceTower) -> None:
    """Of the history the second event alone, as where the others are no positives."""
    pairs = tower.training_pairs({**samples([[5, 3, 4]], [7]), "window": tf.constant([[1, 0, 1, 0]], tf.int64)})
    assert pairs.rows.numpy().tolist() == [7, 3]
    assert pairs.place.numpy().tolist() == [0, 2]


def test_unknown_items_are_not_learnt(tower: SequenceTower) -> None:
    batch = samples([[5, ITEMS, 4]], [7])
    assert tower.training_pairs(batch).rows.numpy().tolist() == [7, 5, 4]
    assert tower.training_pairs({**batch, "weight": tf.zeros(1)}).rows.numpy().tolist() == [5, 4]


def test_no_place_sees_what_came_later(tower: SequenceTower) -> None:
    before = tower.training_pairs(samples([[5, 3, 4, 2]], [7])).queries.numpy()
    after = tower.training_pairs(samples([[5, 8, 4, 2]], [7])).queries.numpy()
    # Places 0 and 1 have seen the changed event, those of the events before it, and the beginning, have not.
    assert not np.isclose(before[:2], after[:2]).any()
    np.testing.assert_array_equal(before[2:], after[2:])


def test_the_request_sees_all_of_its_history_in_order(tower: SequenceTower) -> None:
    vectors = tower(samples([[5, 3, 4], [5, 4, 3], [5, 3, 2]], [0, 0, 0])).numpy()
    assert not np.isclose(vectors[0], vectors[1]).all()
    assert not np.isclose(vectors[0], vectors[2]).all()


def test_padding_changes_nothing(tower: SequenceTower) -> None:
    alone = tower(samples([[5, 3]], [0]))
    beside = tower(samples([[5, 3], [1, 2, 4, 6, 8]], [0, 0]))
    np.testing.assert_allclose(alone[0], beside[0], rtol=1e-5)
    empty = tower(samples([[], [1, 2, 4, 6, 8]], [0, 0]))
    np.testing.assert_allclose(tower(samples([[PAD]], [0]))[0], empty[0], rtol=1e-5)
    assert np.isfinite(empty).all()


def test_the_context_is_added_to_the_request_alone(items: ItemTower, tower: SequenceTower) -> None:
    batch = samples([[5, 3]], [7])
    tower(batch)
    tower._mix.kernel.assign(tf.ones_like(tower._mix.kernel))
    one, other = (tower.training_pairs({**batch, "group": tf.constant([group], tf.int64)}).queries for group in (0, 1))
    assert not np.isclose(one[0], other[0]).any()
    np.testing.assert_array_equal(one[1:], other[1:])


def test_it_learns_an_order(items: ItemTower, tower: SequenceTower) -> None:
    """Items follow each other in a circle."""
    rng = np.random.default_rng(0)
    starts = rng.integers(ITEMS, size=256)
    batch = samples([[(start - back) % ITEMS for back in range(LENGTH)] for start in starts], ((starts + 1) % ITEMS).tolist())
    model = TwoTower(tower, items, FullSoftmax(items, tf.ones(ITEMS + 1), RetrievalConfig()))
    model.compile(optimizer=keras.optimizers.legacy.Adam(0.01))
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(40), epochs=1, verbose=0)
    asked = samples([[(start - back) % ITEMS for back in range(3)] for start in range(ITEMS)], [0] * ITEMS)
    scores = without_rows(tf.matmul(tower(asked), items(tf.range(ITEMS)), transpose_b=True), asked["history_row"])
    assert tf.argmax(scores, axis=1).numpy().tolist() == [(start + 1) % ITEMS for start in range(ITEMS)]
