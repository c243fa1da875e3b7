import json
from typing import Any

import pytest

from components.config import PipelineConfig, parse_config, tuned_config
from components.config.tuning import decoded, encoded, with_values
from components.errors import ConfigError


def config(tuning: dict[str, Any] | None = None, **changes: Any) -> PipelineConfig:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    dataset = {"events": {"path": "x.csv", "columns": columns}, "tasks": {"see": {}}}
    return parse_config(json.dumps({"name": "shop", "dataset": dataset, "tuning": tuning, **changes}), origin="test")


def test_values_come_to_their_keys() -> None:
    found = tuned_config(
        config({"ranking": {"model": {"choices": ["din", "bst"]}}}),
        "ranking",
        {"model.hidden": [8], "model": "bst", "learning_rate": 0.5, "heads.experts": 2, "heads": "mmoe"},
    )
    assert (found.ranking.model.name, found.ranking.model.hidden) == ("bst", (8,))
    assert (found.ranking.heads.name, found.ranking.heads.experts) == ("mmoe", 2)
    assert found.ranking.learning_rate == 0.5
    assert found.ranking.batch_size == config().ranking.batch_size
    assert found.tuning is None


def test_values_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'retrieval with .*"heads": 3.*\n.*heads: found 3, wanted a divisor of embedding_dim 64'
    ):
        tuned_config(config(), "retrieval", {"query_tower": "self_attention", "heads": 3})


def test_a_document_stays_as_it_was() -> None:
    document = {"ranking": {"model": "din"}}
    assert with_values(document, "ranking", {"model.dropout": 0.1}) == {"ranking": {"model": {"name": "din", "dropout": 0.1}}}
    assert document == {"ranking": {"model": "din"}}


def test_choices_are_numbers_or_json() -> None:
    assert encoded([16, 32]) == [16, 32]
    for choices in ([[8], [16, 8]], ["din", "bst"], [True, False], [None, 8], [1, 0.5]):
        assert [decoded({"key": each})["key"] for each in encoded(choices)] == choices
        assert all(isinstance(each, str) for each in encoded(choices))


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({}, "tuning: found nothing to search for, wanted values for keys under retrieval or ranking"),
        ({"ranking": {"learning_rate": {"min": 1}}}, "found min 1 and max None, wanted both, min below max"),
        ({"ranking": {"learning_rate": {"min": 2, "max": 1}}}, "found min 2 and max 1, wanted both"),
        ({"ranking": {"learning_rate": {"min": 0, "max": 1, "scale": "log"}}}, "found min 0, wanted one above 0, or scale"),
        ({"ranking": {"learning_rate": {"min": 1, "max": 2, "choices": [1, 2]}}}, "wanted either choices, or min and max"),
        ({"ranking": {"learning_rate": {}}}, "wanted either choices, or min and max"),
        ({"ranking": {"candidates": {"choices": [1, 2]}}}, "ranking.candidates: cannot be searched for: what is served"),
        ({"ranking": {"seed": {"choices": [1, 2]}}}, "ranking.seed: cannot be searched for: a lucky one would be found"),
        (
            {"ranking": {"stop_on": {"choices": ["ndcg", "auc"]}}},
            "ranking.stop_on: cannot be searched for: values of",
        ),
        (
            {"ranking": {"calibration": {"choices": ["platt", "none"]}}},
            "ranking.calibration: cannot be searched for: the",
        ),
        ({"ranking": {"model.hiden": {"choices": [1, 2]}}}, "tuning.ranking.model.hiden: ranking cannot have 1: "),
        ({"ranking": {"model": {"choices": ["dim", "din"]}}}, "tuning.ranking.model: ranking cannot have 'dim': "),
        (
            {"retrieval": {"dropout": {"min": 0.1, "max": 1.5}}},
            "tuning.retrieval.dropout: retrieval cannot have 1.5: dropout: ",
        ),
        ({"retreival": {"dropout": {"min": 0.1, "max": 0.5}}}, "tuning.retreival: unknown key; did you mean retrieval"),
    ],
)
def test_what_cannot_be_searched_for_is_named(tuning: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(tuning)
    assert message in str(raised.value)


def test_values_that_are_wrong_for_the_named_model_are_possible_with_another() -> None:
    """Each key is checked by itself, on top of the settings as they are."""
    with pytest.raises(ConfigError, match=r"tuning\.ranking\.model\.attention_hidden: ranking cannot have \[8\]"):
        config({"ranking": {"model.attention_hidden": {"choices": [[8], [16]]}}})
    assert config({"ranking": {"model.attention_hidden": {"choices": [[8], [16]]}}}, ranking={"model": "din"}).tuning
