"""Hard rules over a catalogue of five items."""

from typing import Any

import pyarrow as pa
import pytest

from serving.gateway.rerank.rules import allowed
from serving.gateway.rerank.settings import Rule

ITEMS = pa.table(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "year": pa.array([1980, 1990, None, 2000.5, 1990], pa.float32()),
        "genres": pa.array([["Drama"], ["Horror", "Drama"], [], None, ["Comedy"]], pa.list_(pa.string())),
        "maker": ["x", "y", None, "x", "z"],
    }
)


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ([], "abcde"),
        ([{"feature": "year", "at_least": 1990}], "bde"),
        ([{"feature": "year", "at_most": 1990}], "abe"),
        ([{"feature": "year", "at_least": 1985, "at_most": 1995}], "be"),
        ([{"feature": "genres", "deny": ["Horror"]}], "acde"),
        ([{"feature": "genres", "allow": ["Drama", "Comedy"]}], "abe"),
        ([{"feature": "genres", "allow": ["Drama"], "deny": ["Horror"]}], "a"),
        ([{"feature": "maker", "allow": ["x"]}], "ad"),
        ([{"feature": "maker", "deny": ["x", "no such"]}], "bce"),
        ([{"feature": "year", "at_least": 1990}, {"feature": "maker", "deny": ["x"]}], "be"),
        ([{"feature": "maker", "allow": ["no such"]}], ""),
    ],
)
@pytest.mark.parametrize("chunks", [1, 2])
def test_an_item_is_shown_if_it_fulfils_all(rules: list[dict[str, Any]], shown: str, chunks: int) -> None:
    """However the table lies in memory."""
    items = ITEMS if chunks == 1 else pa.concat_tables([ITEMS.slice(0, 2), ITEMS.slice(2)])
    mask = allowed(items, [], [Rule.model_validate(rule) for rule in rules])
    assert "".join(items.column("item_id").filter(pa.array(mask)).to_pylist()) == shown


def test_banned_items_are_never_shown() -> None:
    assert allowed(ITEMS, {"b", "e", "unknown"}, []).tolist() == [True, False, True, True, False]
