import json

import pytest

from components.errors import ConfigError
from pipelines.kubeflow.parameters import merged, overridden, patch_of


@pytest.mark.parametrize(
    ("document", "patch", "wanted"),  # the examples of RFC 7396, appendix A, that have an object on both sides
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(document: dict, patch: dict, wanted: dict) -> None:
    assert merged(document, patch) == wanted


def test_the_span_is_days_of_events() -> None:
    assert patch_of("{}", "2026-01-01..2026-01-31") == {
        "dataset": {"events": {"first_day": "2026-01-01", "last_day": "2026-01-31"}}
    }
    assert patch_of("", "") == {}
    assert patch_of('{"dataset": {"tasks": {}}}', "2026-01-01..") == {
        "dataset": {"tasks": {}, "events": {"first_day": "2026-01-01"}}
    }


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("{", "overrides: found '{', which is no JSON"),
        ("3", "wanted an object such as"),
        ('{"rankng": {}}', "overrides: found 'rankng', wanted one of description, dataset"),
        ('{"name": "other"}', "overrides: found 'name', wanted one of"),
    ],
)
def test_overrides_that_are_wrong_are_refused(overrides: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        patch_of(overrides, "")
    assert said in str(raised.value)


def test_a_config_inside_custom_config_is_changed_too() -> None:
    config = {"name": "a", "dataset": {"events": {"path": "e", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
                                       "tasks": {"buy": {}}}, "retrieval": {"epochs": 3}}  # fmt: skip
    given = {"custom_config": json.dumps({"config": json.dumps(config), "other": 1}), "run_fn": "f"}
    changed = overridden(given, {"retrieval": {"epochs": 4}}, "RetrievalTrainer")
    custom = json.loads(changed["custom_config"])
    assert json.loads(custom["config"])["retrieval"] == {"epochs": 4}
    assert (custom["other"], changed["run_fn"]) == (1, "f")


def test_a_config_that_nothing_changes_stays_the_same_text() -> None:
    text = '{"name":  "a"}'
    assert overridden({"config": text}, {"ranking": {"epochs": 4}}, "Ingest") == {"config": text}
