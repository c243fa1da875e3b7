import numpy as np
import pyarrow as pa
import pytest

from components.config import PipelineConfig
from components.schema.catalogue import items_schema
from serving.gateway.api import Condition
from serving.gateway.errors import UnfitRequestError
from serving.gateway.filters import CatalogueFilter, OverlaidFilter
from serving.gateway.release import Release

DAY = 86_400_000
YEAR_2020 = 1_577_836_800_000


def passing(release: Release, *conditions: dict[str, object]) -> list[int]:
    return np.flatnonzero(release.filter.passing([Condition.model_validate(each) for each in conditions])).tolist()


def test_one_of_some_values(release: Release) -> None:
    """Even rows are dramas, save 6, of which nothing is known."""
    assert passing(release, {"feature": "genre", "one_of": ["drama"]}) == [0, 2, 4]
    assert passing(release, {"feature": "genre", "one_of": ["drama", "comedy", "western"]}) == [0, 1, 2, 3, 4, 5]
    assert passing(release, {"feature": "genre", "one_of": ["western"]}) == []


def test_one_value_of_several_is_enough(release: Release) -> None:
    assert passing(release, {"feature": "tags", "one_of": ["short", "new"]}) == [0, 1, 5, 6]
    assert passing(release, {"feature": "words", "one_of": ["WARS"]}) == [3]
    assert passing(release, {"feature": "colour", "one_of": ["red"]}) == []  # a feature that no item has


def test_numbers_within_bounds_that_count_themselves(release: Release) -> None:
    """Prices are 9.99 + row, as float32, which has fewer digits than the bound is sent with; that of 5 is unknown."""
    assert passing(release, {"feature": "price", "at_least": 12.99}) == [3, 4, 6]
    assert passing(release, {"feature": "price", "at_most": 9.99}) == [0]
    assert passing(release, {"feature": "price", "at_least": 10, "at_most": 12}) == [1, 2]


def test_moments_in_ms(release: Release) -> None:
    assert passing(release, {"feature": "since", "at_least": YEAR_2020 + 5 * DAY}) == [5, 6]
    assert passing(release, {"feature": "since", "at_least": YEAR_2020 + 5 * DAY + 1}) == [6]


def test_all_conditions_must_hold(release: Release) -> None:
    conditions = {"feature": "genre", "one_of": ["drama"]}, {"feature": "price", "at_least": 11}
    assert passing(release, *conditions) == [2, 4]


@pytest.mark.parametrize(
    ("condition", "where", "message"),
    [
        ({"feature": "mood", "one_of": ["dark"]}, "feature",
         "found 'mood', wanted a feature of the items: genre, tags, price, words, since, colour"),
        ({"feature": "price", "one_of": ["9.99"]}, "one_of", "price is a number; wanted at_least or at_most"),
        ({"feature": "genre", "at_most": 3}, "at_most", "genre is of kind categorical; wanted one_of"),
    ],
)  # fmt: skip
def test_a_condition_that_does_not_fit_is_named(release: Release, condition: object, where: str, message: str) -> None:
    fitting = Condition(feature="genre", one_of=["drama"])
    with pytest.raises(UnfitRequestError, match=message) as raised:
        release.filter.passing([fitting, Condition.model_validate(condition)])
    assert raised.value.where == ("filters", 1, where)


@pytest.mark.parametrize("condition", [{}, {"one_of": ["a"], "at_least": 1}, {"one_of": []}])
def test_a_condition_says_one_thing(condition: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"wanted either one_of, or at_least|at least 1 item"):
        Condition.model_validate({"feature": "genre", **condition})


def test_other_items_at_some_rows(release: Release, config: PipelineConfig) -> None:
    """Row 2, a drama, has become a comedy, and row 7 is a new drama."""
    columns = config.dataset.item_features
    live = pa.Table.from_pylist(
        [{"item_id": "a", "title": "a", "created_ms": 0, "genre": genre} for genre in ("comedy", "drama")],
        schema=items_schema(columns),
    )
    overlaid = OverlaidFilter(release.filter, CatalogueFilter(live, columns), np.array([2, 7], np.int32), 8)
    dramas = overlaid.passing([Condition(feature="genre", one_of=["drama"])])
    assert np.flatnonzero(dramas).tolist() == [0, 4, 7]
