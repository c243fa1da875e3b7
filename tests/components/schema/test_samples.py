"""The samples' contract: names, types, and the schema that their statistics are held to."""

import json
import re
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from components.config import PipelineConfig, parse_config
from components.schema import samples as names
from components.schema.tfmd import schema_proto

Row = dict[str, Any]


def config(samples: Row | None = None, tasks: Row | None = None) -> PipelineConfig:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t", "type": "k", "request_id": "r"}
    context = {"device": {"column": "d", "values": ["ios", "web"]}}
    price = {"column": "p", "kind": "number", "min": 0, "max": 9.5}
    items = {"brand": {"column": "b", "kind": "categorical"}, "price": price, "words": {"column": "w", "kind": "text"}}
    users = {"plan": {"column": "p", "kind": "categorical", "values": ["free"]}, "born": {"column": "x", "kind": "timestamp"}}
    dataset = {
        "events": {"path": "e", "columns": columns, "context": context},
        "items": {"path": "i", "id": "i", "features": items},
        "users": {"path": "u", "id": "u", "features": users},
        "tasks": tasks or {"interact": {}, "like": {"when": "value >= 4"}, "dwell": {"kind": "regression"}},
    }
    return parse_config(json.dumps({"name": "shop", "dataset": dataset, "samples": samples or {}}), origin="test")


REQUEST = {
    "user_id": ("string", True),
    "timestamp_ms": ("int64", True),
    "plan": ("string", True),
    "born": ("float", False),
    "context_hour": ("int64", True),
    "context_weekday": ("int64", True),
    "context_device": ("string", True),
    "history_item_id": ("string", False),
    "history_age_s": ("float", False),
    "history_value": ("float", False),
    "user_count_view": ("float", True),
    "user_idle_s": ("float", True),
}
ITEM = {"item_id": ("string", True), "brand": ("string", True), "price": ("float", False), "words": ("string", False)}


def test_features_where_negatives_are_drawn() -> None:
    assert names.feature_spec(config(), ("view",)) == {
        **REQUEST,
        **ITEM,
        "label_interact": ("float", False),  # the item, then the negatives
        "weight_interact": ("float", True),
        "label_like": ("float", True),  # nothing is known of what a drawn item would have been given
        "weight_like": ("float", True),
        "label_dwell": ("float", True),
        "weight_dwell": ("float", True),
        "window": ("int64", False),
        "negative_item_id": ("string", False),
        "negative_prob": ("float", False),
    }


def test_features_of_logged_impressions() -> None:
    shown = config({"impressions": "shown"}, {"click": {"event": "click"}})
    assert names.feature_spec(shown, ("view",)) == {
        **REQUEST,
        **ITEM,
        "label_click": ("float", True),
        "weight_click": ("float", True),
        "window": ("int64", False),
        "position": ("int64", True),
        "propensity": ("float", True),
    }


def test_a_request_has_what_comes_before_the_item() -> None:
    assert names.query_features(config(), ("view",)) == list(REQUEST)


def test_types_of_the_history() -> None:
    assert names.history_types(config(), {"view", "buy"}) == ("buy", "view")
    shown = config({"impressions": "shown"}, {"click": {"event": "click"}})
    assert names.history_types(shown, {"shown", "click"}) == ("click",)
    assert names.history_types(config({"history_types": ["view", "cart"]}), {"buy"}) == ("cart", "view")


@pytest.fixture
def features() -> dict[str, schema_pb2.Feature]:
    return {feature.name: feature for feature in schema_proto(config(), ("view",)).feature}


def test_the_schema_has_each_feature(features: dict[str, schema_pb2.Feature]) -> None:
    types = {"string": schema_pb2.BYTES, "float": schema_pb2.FLOAT, "int64": schema_pb2.INT}
    wanted = names.feature_spec(config(), ("view",))
    assert {name: feature.type for name, feature in features.items()} == {
        name: types[dtype] for name, (dtype, _) in wanted.items()
    }
    for name, (_, single) in wanted.items():
        assert (features[name].presence.min_fraction == 1.0) is single
        assert [dim.size for dim in features[name].shape.dim] == [1] * single


def test_the_schema_has_what_the_config_allows(features: dict[str, schema_pb2.Feature]) -> None:
    assert list(features["plan"].string_domain.value) == ["free", ""]  # of a user who is not in the table
    assert list(features["context_device"].string_domain.value) == ["ios", "web", ""]
    assert not features["brand"].HasField("string_domain")
    assert (features["price"].float_domain.min, features["price"].float_domain.max) == (0, 9.5)
    assert (features["context_hour"].int_domain.min, features["context_hour"].int_domain.max) == (0, 23)
    assert (features["context_weekday"].int_domain.min, features["context_weekday"].int_domain.max) == (0, 6)
    assert features["price"].presence.min_count == 1  # may be unknown of an item, not of all


def test_drift_is_looked_for_in_categories_only(features: dict[str, schema_pb2.Feature]) -> None:
    watched = {name for name, feature in features.items() if feature.HasField("drift_comparator")}
    assert watched == {"plan", "brand", "context_device"}
    assert features["plan"].drift_comparator.infinity_norm.threshold == 0.5


def test_counts_are_named_by_letters_and_digits_and_each_by_its_own() -> None:
    """Of types as data spell them; those that are plain keep their names, whatever others are there."""
    types = ("add to cart", "add-to-cart", "add_to_bag", "add to bag", "Buy", "buy", "купить", "смотреть", "_")
    made = names.count_names(types)
    assert made[0] == "user_count_add_to_cart"
    assert (made[2], made[4], made[5]) == ("user_count_add_to_bag", "user_count_Buy", "user_count_buy")
    assert all(re.fullmatch(r"user_count_\w+", name, re.ASCII) for name in made)
    assert len(set(made)) == len(types)
    assert names.count_names(types[6:7]) == made[6:7]
