import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RankingConfig
from components.features.item import ItemDays
from components.models.features import Slot
from components.models.items import PAD, ItemCounters, ItemTable
from components.models.rankers import RANKERS, DcnV2, RankerParts
from components.schema.events import MS_PER_DAY

FIRST_DAY, RECALL_DIM = 20_000, 3
SETTINGS = RankingConfig(embedding_dim=4, cross_layers=2, cross_rank=3, hidden=(8,), dropout=0.0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    keras.utils.set_random_seed(5)


@pytest.fixture
def parts(table: ItemTable) -> RankerParts:
    days = ItemDays(FIRST_DAY, np.array([[0, 0, 0], [4, 1, 0]], np.float32), np.full(3, FIRST_DAY, np.float32))
    vectors = np.random.default_rng(1).normal(size=(4, RECALL_DIM)).astype(np.float32)
    vectors[3] = 0
    return RankerParts((Slot("hour", "category", 24),), table, ItemCounters(days), tf.constant(vectors), (True, False))


@pytest.fixture
def ranker(parts: RankerParts) -> DcnV2:
    return DcnV2(parts, SETTINGS)


@pytest.fixture
def requests() -> dict[str, tf.Tensor]:
    return {
        "history_row": tf.constant([[1, 0], [2, PAD]]),
        "history_age_s": tf.constant([[3, 9], [5, 0]], tf.int64),
        "history_value": tf.constant([[1.0, 2.0], [3.0, 0.0]]),
        "hour": tf.constant([0, 23], tf.int64),
        "timestamp_ms": tf.constant([(FIRST_DAY + 1) * MS_PER_DAY] * 2, tf.int64),
        "recall_embedding": tf.constant([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]]),
    }


def test_a_logit_for_each_task_of_each_candidate(ranker: DcnV2, requests: dict[str, tf.Tensor]) -> None:
    logits = ranker(requests, tf.constant([[0, 1, 2, 3], [3, PAD, 1, 0]]))
    assert logits.shape == (2, 4, 2)
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()


def test_the_order_of_candidates_orders_the_logits(ranker: DcnV2, requests: dict[str, tf.Tensor]) -> None:
    rows = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.int32)
    turned = [2, 0, 3, 1]
    expected = ranker(requests, tf.constant(rows)).numpy()[:, turned]
    np.testing.assert_allclose(ranker(requests, tf.constant(rows[:, turned])), expected, rtol=1e-5, atol=1e-6)


def test_a_candidate_does_not_see_the_others(ranker: DcnV2, requests: dict[str, tf.Tensor]) -> None:
    many = ranker(requests, tf.constant([[0, 1, 2], [3, 2, 1]]))
    one = ranker(requests, tf.constant([[1], [2]]))
    np.testing.assert_allclose(one[:, 0], many[:, 1], rtol=1e-5, atol=1e-6)


def test_a_request_does_not_see_the_others(ranker: DcnV2, requests: dict[str, tf.Tensor]) -> None:
    both = ranker(requests, tf.constant([[0, 1], [3, 2]]))
    second = ranker({name: value[1:] for name, value in requests.items()}, tf.constant([[3, 2]]))
    np.testing.assert_allclose(second[0], both[1], rtol=1e-5, atol=1e-6)


def test_padding_of_the_history_changes_nothing(ranker: DcnV2, requests: dict[str, tf.Tensor]) -> None:
    padded = dict(requests)
    padded["history_row"] = tf.pad(requests["history_row"], [[0, 0], [0, 3]], constant_values=PAD)
    padded["history_age_s"] = tf.pad(requests["history_age_s"], [[0, 0], [0, 3]], constant_values=7)
    padded["history_value"] = tf.pad(requests["history_value"], [[0, 0], [0, 3]], constant_values=9)
    rows = tf.constant([[0, 1], [3, 2]])
    np.testing.assert_allclose(ranker(padded, rows), ranker(requests, rows), rtol=1e-5, atol=1e-6)


def test_only_choices_start_from_the_score_of_recall(ranker: DcnV2, parts: RankerParts, requests: dict[str, tf.Tensor]) -> None:
    rows = tf.constant([[0, 1, 3], [2, 1, 0]])
    ranker(requests, rows)
    heads = ranker.get_layer("heads")
    heads.set_weights([np.zeros_like(each) for each in heads.get_weights()])
    logits = ranker(requests, rows)
    scores = np.einsum("bd,bnd->bn", requests["recall_embedding"], parts.recall_vectors.numpy()[rows.numpy()])
    np.testing.assert_allclose(logits[..., 0], scores, rtol=1e-5)
    np.testing.assert_array_equal(logits[..., 1], np.zeros((2, 3)))


def test_every_ranker_of_the_config_is_there() -> None:
    assert set(RANKERS) == set(RankingConfig.model_fields["model"].annotation.__args__)
