"""What holds of every ranker that the config can name, with every kind of heads where these matter."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.config import RankingConfig
from components.models.heads import HEADS
from components.models.items import PAD
from components.models.multi_task import MultiTaskRanker
from components.models.rankers import BODIES, Ranker, RankerParts, make_ranker
from components.models.tasks import Task

ROWS = [[0, 1, 2, 3], [3, PAD, 1, 0], [2, 2, 1, 0]]
SMALL: dict[str, dict[str, Any]] = {
    "mf": {},
    "wide_deep": {"cross_buckets": 64},
    "dcn_v2": {"cross_rank": 3},
    "dcn_v2_mix": {"cross_rank": 3, "experts": 2},
    "din": {"attention_hidden": [5, 3]},
    "dien": {"interest_dim": 4},
    "bst": {"blocks": 2, "head_dim": 3},
}

CHOICES = [(model, "single") for model in BODIES] + [("dcn_v2", heads) for heads in HEADS if heads != "single"]


def settings(model: str, **changes: Any) -> RankingConfig:
    deep = {} if model == "mf" else {"hidden": [8], "dropout": 0.0}
    return RankingConfig.model_validate(
        {"model": {"name": model, **deep, **SMALL.get(model, {})}, "embedding_dim": 4, **changes}
    )


def trained(ranker: Ranker, requests: dict[str, tf.Tensor], tasks: tuple[Task, ...], steps: int) -> list[float]:
    """The losses of a few steps on one batch."""
    batch = {
        **requests,
        "candidate_row": tf.constant(ROWS),
        "returned": tf.ones(3),
        **{f"label_{task.name}": tf.constant([1.0, 0.0, 1.0]) for task in tasks},
        **{f"weight_{task.name}": tf.ones(3) for task in tasks},
    }
    model = MultiTaskRanker(ranker, tasks)
    model.compile(optimizer=keras.optimizers.legacy.Adam(0.03))
    return [float(model.train_step(batch)["loss"]) for _ in range(steps)]


@pytest.fixture(scope="module", params=CHOICES, ids="-".join)
def ranker(request: pytest.FixtureRequest, parts: RankerParts, requests: dict[str, tf.Tensor]) -> Ranker:
    """Each ranker, and one of them with each of the other heads, after a few steps of training."""
    keras.utils.set_random_seed(5)
    model, heads = request.param
    made = make_ranker(parts, settings(model, heads=heads))
    losses = trained(made, requests, parts.tasks, steps=12)
    assert losses[-1] < 0.8 * losses[0], "it does not learn"
    return made


def test_the_config_names_what_there_is() -> None:
    for key, made in (("model", BODIES), ("heads", HEADS)):
        named = [get_args(each.model_fields["name"].annotation)[0] for each in
                 get_args(RankingConfig.model_fields[key].annotation)]  # fmt: skip
        assert named == list(made)


def test_a_logit_for_each_task_of_each_candidate(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    logits = ranker(requests, tf.constant(ROWS))
    assert logits.shape == (3, 4, 2)
    assert logits.dtype == tf.float32
    assert np.isfinite(logits).all()


def test_the_order_of_candidates_orders_the_logits(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    rows = np.array(ROWS, np.int32)
    turned = [2, 0, 3, 1]
    expected = ranker(requests, tf.constant(rows)).numpy()[:, turned]
    np.testing.assert_allclose(ranker(requests, tf.constant(rows[:, turned])), expected, rtol=1e-5, atol=1e-6)


def test_a_candidate_does_not_see_the_others(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    many = ranker(requests, tf.constant(ROWS))
    one = ranker(requests, tf.constant([row[1:2] for row in ROWS]))
    np.testing.assert_allclose(one[:, 0], many[:, 1], rtol=1e-5, atol=1e-6)


def test_a_request_does_not_see_the_others(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    both = ranker(requests, tf.constant(ROWS))
    second = ranker({name: value[1:2] for name, value in requests.items()}, tf.constant(ROWS[1:2]))
    np.testing.assert_allclose(second[0], both[1], rtol=1e-5, atol=1e-6)


def test_padding_of_the_history_changes_nothing(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    padded = dict(requests)
    padded["history_row"] = tf.pad(requests["history_row"], [[0, 0], [0, 3]], constant_values=PAD)
    padded["history_age_s"] = tf.pad(requests["history_age_s"], [[0, 0], [0, 3]], constant_values=7)
    padded["history_value"] = tf.pad(requests["history_value"], [[0, 0], [0, 3]], constant_values=9)
    rows = tf.constant(ROWS)
    np.testing.assert_allclose(ranker(padded, rows), ranker(requests, rows), rtol=1e-5, atol=1e-6)


def test_the_history_matters(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    rows = tf.constant(ROWS)
    other = {**requests, "history_row": tf.constant([[0, PAD], [2, PAD], [PAD, PAD]])}
    changed = np.abs(ranker(other, rows) - ranker(requests, rows)).max(axis=(1, 2))
    assert changed[0] > 1e-5
    np.testing.assert_allclose(changed[1:], 0, atol=1e-6)


def test_recall_counts_in_choices_alone_and_not_in_training(
    ranker: Ranker, parts: RankerParts, requests: dict[str, tf.Tensor]
) -> None:
    rows = tf.constant([[0, 1, 3], [2, 1, 0], [0, 1, 2]])
    assert ranker.blend is not None
    own = ranker.own({name: value for name, value in requests.items() if name != "recall_embedding"}, rows)
    ranker.blend.assign([2.0, 0.5])
    logits = ranker(requests, rows)
    ranker.blend.assign([1.0, 1.0])
    own_in_training, in_training = (made(requests, rows, training=True) for made in (ranker.own, ranker))
    scores = np.einsum("bd,bnd->bn", requests["recall_embedding"], parts.recall_vectors.numpy()[rows.numpy()])
    np.testing.assert_allclose(logits[..., 0], 2 * own[..., 0] + 0.5 * scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(logits[..., 1], own[..., 1])
    np.testing.assert_allclose(in_training, own_in_training, rtol=1e-5, atol=1e-6)


def test_every_weight_learns(ranker: Ranker, requests: dict[str, tf.Tensor]) -> None:
    """A weight that no gradient reaches is one that no prediction depends on."""
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(ranker(requests, tf.constant(ROWS), training=True) ** 2)
    gradients = tape.gradient(total, ranker.trainable_variables)
    unused = [each.name for each, gradient in zip(ranker.trainable_variables, gradients, strict=True) if gradient is None]
    assert unused == []


def test_a_saved_ranker_gives_the_same_scores(ranker: Ranker, requests: dict[str, tf.Tensor], tmp_path: Path) -> None:
    """Saved once, for any number of requests, candidates and items of the history: the way of the ranking export."""
    spec = {name: tf.TensorSpec([None] * len(value.shape), value.dtype, name) for name, value in requests.items()}
    spec["age"] = tf.TensorSpec([None, 1], tf.float32, "age")
    spec["recall_embedding"] = tf.TensorSpec([None, 3], tf.float32, "recall_embedding")
    ranker.blend.assign([0.7, 0.3])  # as fitted
    module = tf.Module()
    module.kept = ranker.variables
    module.logits = tf.function(
        lambda features, rows: ranker(features, rows), input_signature=[spec, tf.TensorSpec([None, None], tf.int32)]
    )
    tf.saved_model.save(module, str(tmp_path))
    saved = tf.saved_model.load(str(tmp_path))  # its variables live as long as it does
    loaded = saved.logits
    for rows in (ROWS, [row[:1] for row in ROWS]):
        expected = ranker(requests, tf.constant(rows))
        np.testing.assert_allclose(loaded(requests, tf.constant(rows)), expected, rtol=1e-5, atol=1e-6)
    short = {name: value[:1, :1] if name.startswith("history") else value[:1] for name, value in requests.items()}
    one = tf.constant(ROWS[:1])
    np.testing.assert_allclose(loaded(short, one), ranker(short, one), rtol=1e-5, atol=1e-6)
