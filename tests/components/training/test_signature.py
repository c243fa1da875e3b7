"""Training and serving must see the same features: samples as trainers parse them, requests as servers are sent them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.schema.request import request_inputs
from components.schema.samples import query_features
from components.training.signature import item_signature, query_signature, to_samples_form
from components.training.transform_graph import TransformGraph

TYPES = ("buy", "view")
KNOWN = {
    "user_id": "ü1",
    "timestamp_ms": 1_700_000_000_123,
    "country": "FR",
    "age": [20.0],
    "interests": ["film", "sport"],
    "context_hour": 23,
    "context_weekday": 6,
    "context_device": "phone",
    "history_item_id": ["x", "y"],
    "history_age_s": [1.5, 86_400.0],
    "history_value": [5.0, 0.0],
    "user_count_view": 2.0,
    "user_idle_s": 3.5,
}
UNKNOWN: dict[str, Any] = {"user_id": "nobody", "user_idle_s": -1.0}  # no history, no number, nothing said
LONG = {**KNOWN, "history_item_id": list("abcde"), "history_age_s": [0.0] * 5, "history_value": [1.0] * 5}
WITHOUT_NUMBER = {**KNOWN, "age": [], "interests": []}


@pytest.mark.parametrize("values", [KNOWN, UNKNOWN, LONG, WITHOUT_NUMBER], ids=["known", "unknown", "long", "no number"])
def test_a_request_is_transformed_as_its_sample_is(small_shop: Any, values: dict[str, Any]) -> None:
    inputs = json.loads(json.dumps(request_inputs(small_shop.sample(**values), small_shop.config, TYPES)))
    signature = query_signature(small_shop.config, TYPES)
    assert inputs.keys() == signature.keys()
    dense = {name: tf.constant(inputs[name], spec.dtype) for name, spec in signature.items()}
    for name, spec in signature.items():
        assert spec.shape.is_compatible_with(dense[name].shape), name
    graph = TransformGraph(small_shop.transform)
    served = tf.function(lambda inputs: graph(to_samples_form(inputs, small_shop.config, TYPES)))(dense)
    learnt = small_shop.transformed([values])
    assert set(query_features(small_shop.config, TYPES)) <= set(served)
    for name, value in served.items():
        np.testing.assert_array_equal(value, learnt[name], err_msg=name)


def test_requests_of_different_length_share_a_batch(small_shop: Any) -> None:
    """Lists are padded by whoever sends them: texts with "", numbers with anything."""
    dense = {
        "history_item_id": tf.constant([["x", "y"], ["z", ""]]),
        "history_age_s": tf.constant([[1.5, 3.0], [7.0, 99.0]]),
        "history_value": tf.constant([[5.0, 0.0], [1.0, 99.0]]),
        "interests": tf.constant([["film", ""], ["", ""]]),
        "age": tf.constant([20.0, float("nan")]),
    }
    raw = to_samples_form(dense, small_shop.config, TYPES)
    lists = {name: tf.RaggedTensor.from_sparse(value).to_list() for name, value in raw.items()}
    assert lists == {
        "history_item_id": [[b"x", b"y"], [b"z"]],
        "history_age_s": [[1.5, 3.0], [7.0]],
        "history_value": [[5.0, 0.0], [1.0]],
        "interests": [[b"film"], []],
        "age": [[20.0], []],
    }


def test_a_zero_in_a_list_is_a_value_and_no_pad(small_shop: Any) -> None:
    dense = {
        "history_item_id": tf.constant([["x", "y"]]),
        "history_age_s": tf.constant([[0.0, 0.0]]),
        "history_value": tf.constant([[0.0, 3.0]]),
    }
    raw = to_samples_form(dense, small_shop.config, TYPES)
    assert tf.RaggedTensor.from_sparse(raw["history_value"]).to_list() == [[0.0, 3.0]]


def test_signatures(small_shop: Any) -> None:
    request = {name: (spec.dtype, spec.shape.rank) for name, spec in query_signature(small_shop.config, TYPES).items()}
    assert request["user_id"] == (tf.string, 1)
    assert request["age"] == (tf.float32, 1)  # absent in a sample, NaN in a request
    assert request["interests"] == (tf.string, 2)
    assert request["history_age_s"] == (tf.float32, 2)
    assert "item_id" not in request
    assert not any(name.startswith(("label_", "weight_", "negative_")) for name in request)
    item = item_signature(small_shop.config, TYPES)
    assert {name: spec.shape.rank for name, spec in item.items()} == {
        "item_id": 1, "colour": 1, "price": 1, "tags": 2, "listed": 1,
    }  # fmt: skip


def test_a_saved_model_names_its_inputs_as_requests_do(small_shop: Any, tmp_path: Path) -> None:
    """Whatever the types of events are called: TensorFlow would change other names, or refuse them."""
    signature = query_signature(small_shop.config, ("add to cart", "add-to-cart", "купить"))
    sizes = tf.function(lambda inputs: {name: tf.shape(value)[:1] for name, value in inputs.items()})
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path), {"serving_default": sizes.get_concrete_function(signature)})
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert served.structured_input_signature[1].keys() == signature.keys()
