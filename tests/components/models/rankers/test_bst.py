import numpy as np
import tensorflow as tf

from components.config.rankers import BstSettings
from components.models.rankers.bst import NOW, Bst, TransformerBlock
from components.models.rankers.inputs import Batch, RankerInputs, RankerParts


def block() -> TransformerBlock:
    """Two heads of width 1; Q = K = V = 1, the mix turns the two heads round; the feed-forward network gives 0."""
    made = TransformerBlock(heads=2, head_dim=1, dropout=0.0, name="block")
    made(tf.zeros([1, 1, 2]), tf.zeros([1, 1, 2]), tf.ones([1, 1, 1]), own=True)
    for layer in (made._query, made._key, made._value):
        layer.set_weights([np.eye(2)])
    made._mix.set_weights([np.array([[0.0, 1.0], [1.0, 0.0]])])
    made._feed.set_weights([np.zeros(each.shape) for each in made._feed.weights])
    return made


def normalised(vector: list[float]) -> np.ndarray:
    return (np.array(vector) - np.mean(vector)) / np.sqrt(np.var(vector) + 1e-6)


def attended(query: float, keys: list[float]) -> float:
    weights = np.exp(query * np.array(keys))
    return float(weights @ keys / weights.sum())


def test_a_candidate_looks_at_the_history_and_at_itself() -> None:
    word, past = [1.0, 2.0], [[0.5, -1.0], [3.0, 0.0], [99.0, 99.0]]
    made = block()(tf.constant([[word]]), tf.constant([past]), tf.constant([[[1.0], [1.0], [0.0]]]), own=True)
    heads = [attended(1.0, [0.5, 3.0, 1.0]), attended(2.0, [-1.0, 0.0, 2.0])]
    expected = normalised(list(normalised([1 + heads[1], 2 + heads[0]])))
    np.testing.assert_allclose(made[0, 0], expected, rtol=1e-4)


def test_an_item_of_the_history_is_in_it_once() -> None:
    past = [[0.5, -1.0], [3.0, 0.0]]
    made = block()(tf.constant([past]), tf.constant([past]), tf.ones([1, 2, 1]), own=False)
    heads = [attended(3.0, [0.5, 3.0]), attended(0.0, [-1.0, 0.0])]
    expected = normalised(list(normalised([3 + heads[1], 0 + heads[0]])))
    np.testing.assert_allclose(made[0, 1], expected, rtol=1e-4)


def test_bst_reads_the_sequence_where_the_candidate_ends_it(parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    """The place of an item in time is its age at the request, and the candidate's is now (Chen et al. 2019, eq. 1)."""
    batch = Batch(RankerInputs(parts, 4), parts.counters, requests, tf.constant([[0, 2]] * 3))
    layer = Bst(parts, 4, BstSettings(hidden=(3,), blocks=2))
    made = layer(batch)
    (narrow, bias), (places,) = layer._narrow.get_weights(), layer._position.get_weights()
    history = batch.history @ narrow + bias + places[requests["history_age_s"].numpy()]
    candidates = batch.candidates @ narrow + bias + places[NOW]
    first, second = layer._blocks
    read = second(
        first(candidates, history, batch.present, own=True), first(history, history, batch.present, own=False),
        batch.present, own=True,
    )  # fmt: skip
    np.testing.assert_allclose(made, layer._deep(np.concatenate([batch.joined, read], -1)), rtol=1e-4, atol=1e-5)
