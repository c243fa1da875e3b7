from typing import Any

import numpy as np
import pytest

from components.config import PipelineConfig
from components.features.item_form import item_inputs
from serving.gateway.errors import UnfitRequestError
from serving.gateway.item_values import catalogue_values, still_fitting

DAY = 86_400_000


def test_features_in_the_form_of_the_catalogue(config: PipelineConfig) -> None:
    given = {
        "genre": "drama", "tags": [" new ", " "], "price": 5, "words": "Star Wars!", "since": 1_600_000_000_000.0,
        "colour": None,
    }  # fmt: skip
    assert catalogue_values(given, config.dataset.item_features) == {
        "genre": "drama", "tags": ["new"], "price": 5.0, "words": ["star", "wars"], "since": 1_600_000_000_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mood", "dark", "found 'mood', wanted features of the items: genre, tags, price, words, since, colour"),
        ("genre", ["drama"], r"found \['drama'\], wanted a string"),
        ("tags", "new", "found 'new', wanted a list of strings"),
        ("tags", ["new"] * 101, "found a list of 101, wanted at most 100 strings"),
        ("genre", ["drama"] * 101, "found a list of 101, wanted a string"),
        ("price", "5", "found '5', wanted a number"),
        ("price", 101.0, "found 101.0, wanted a number from 0.0 to 100.0"),
        ("since", 1_600_000_000.0, "wanted ms UTC between 1990 and 2100"),
        ("colour", "green", "found 'green', wanted one of: red, blue"),
    ],
)
def test_a_feature_that_does_not_fit_is_named(config: PipelineConfig, name: str, value: Any, message: str) -> None:
    with pytest.raises(UnfitRequestError, match=message) as raised:
        catalogue_values({"genre": "drama", name: value}, config.dataset.item_features)
    assert raised.value.where == ("features", name)


def test_a_list_may_be_as_long_as_is_said(config: PipelineConfig) -> None:
    assert len(catalogue_values({"tags": ["new"] * 100}, config.dataset.item_features)["tags"]) == 100


def test_what_was_made_once_still_fits(config: PipelineConfig) -> None:
    columns = config.dataset.item_features
    given = {"genre": "drama", "tags": ["new"], "price": 5, "words": "Star Wars", "since": 1_600_000_000_000.0}
    made = catalogue_values(given, columns)
    assert still_fitting(made, columns) == made
    assert still_fitting({**made, "mood": "dark", "genre": 3.0}, columns) == {
        name: value for name, value in made.items() if name != "genre"
    }  # fmt: skip


def test_the_inputs_of_the_item_tower(config: PipelineConfig) -> None:
    """Lists are padded with empty strings to the longest, moments are in days, and what is unknown is "" or NaN."""
    values = [{"genre": "drama", "tags": ["new", "old"], "price": 5.0, "since": 3 * DAY}, {"words": ["star"]}]
    made = item_inputs(["a", "b"], values, config.dataset.item_features)
    assert {name: array.tolist() for name, array in made.items() if array.dtype == object} == {
        "item_id": ["a", "b"],
        "genre": ["drama", ""],
        "tags": [["new", "old"], ["", ""]],
        "words": [[""], ["star"]],
        "colour": ["", ""],
    }
    np.testing.assert_array_equal(made["price"], np.array([5.0, np.nan], np.float32))
    np.testing.assert_array_equal(made["since"], np.array([3.0, np.nan], np.float32))
