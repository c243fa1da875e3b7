"""How a ranker and recall are weighed at moments that neither was trained on, and what their order is worth."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.features.item import ItemDays
from components.models.items import ItemCounters, ItemFacts, ItemTable
from components.models.rankers import Ranker, RankerParts
from components.models.tasks import Task
from components.ranking.moments import Said, blend, ndcg_of

BUY, VIEW = Task("buy", "choice", 1.0, 2.0), Task("view", "choice", 1.0, 0.0)
LIKE = Task("like", "binary", 1.0, 1.0)


def ranker(*tasks: Task, asks_recall: bool = True) -> Ranker:
    """One of which nothing is asked but to bring together what it and recall have said."""
    table = ItemTable(ItemFacts(["ant"], (), {}, np.array([True])))
    counters = ItemCounters(ItemDays(0, np.zeros((1, 1), np.float32), np.zeros(1, np.float32)))
    vectors = tf.zeros([2, 1]) if asks_recall else None
    return Ranker(RankerParts((), table, counters, vectors, tasks), 1, keras.layers.Layer(), keras.layers.Layer())


def said(count: int, found: float, seed: int = 4) -> Said:
    """Of five candidates and a place left over; chosen by 1.5 · the first task's doubled logits and 0.5 · recall's doubled."""
    rng = np.random.default_rng(seed)
    own, noise, recalled = rng.normal(size=(3, count, 6)).astype(np.float32)
    chosen = (1.5 * 2 * own + 0.5 * 2 * recalled + rng.gumbel(size=own.shape))[:, :5].argmax(axis=1)
    wanted = (chosen[:, np.newaxis] == np.arange(6)) & (rng.random(count) < found)[:, np.newaxis]
    own[:, 5] = recalled[:, 5] = 9
    return Said(np.stack([own, noise], axis=-1), recalled, np.tile(np.arange(6) < 5, (count, 1)), wanted)


def test_the_ranker_and_recall_count_as_they_tell_the_wanted_item() -> None:
    """In the units of one logit: the score doubles both. The task that is no part of the score has no say."""
    model = ranker(BUY, VIEW)
    told = blend(model, said(8_000, found=0.7), (BUY, VIEW))
    np.testing.assert_allclose(model.blend, [1.5, 0.5], rtol=0.1)
    assert told == {"ranker_weight": float(model.blend[0]), "recall_weight": float(model.blend[1])}


def test_a_task_that_is_no_choice_counts_as_it_does() -> None:
    """It says half of what the first task would: the rest is left to that one."""
    moments = said(8_000, found=1.0)
    own = moments.own[..., 0]
    model = ranker(BUY, LIKE)
    blend(model, moments._replace(own=np.stack([own, 1.5 * own], axis=-1)), (BUY, LIKE))
    np.testing.assert_allclose(model.blend, [0.75, 0.5], rtol=0.1)


def test_where_recall_finds_nothing_both_count_as_before() -> None:
    model = ranker(BUY, VIEW)
    blend(model, said(50, found=0.0), (BUY, VIEW))
    np.testing.assert_array_equal(model.blend, [1.0, 1.0])


@pytest.mark.parametrize("asks_recall", [True, False])
def test_the_order_is_that_of_both_where_recall_is_asked(asks_recall: bool) -> None:
    """The wanted item second, first only with recall's word; missed by recall; first, beside places left over that score 99."""
    model = ranker(BUY, asks_recall=asks_recall)
    own = np.float32([[3, 2, 1], [3, 2, 1], [0, 99, 99]])[..., np.newaxis]
    recalled = np.float32([[0, 5, 0], [0, 0, 0], [0, 0, 0]])
    there = np.array([[True, True, True], [True, True, True], [True, False, False]])
    wanted = np.array([[False, True, False], [False, False, False], [True, False, False]])
    first = 1.0 if asks_recall else 1 / np.log2(3)
    assert ndcg_of(model, Said(own, recalled, there, wanted), (BUY,)) == pytest.approx((first + 0 + 1) / 3)
    if not asks_recall:
        assert blend(model, Said(own, recalled, there, wanted), (BUY,)) == {}
