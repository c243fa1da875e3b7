"""What the wire takes for a number."""

from typing import Any

import pytest
from pydantic import ValidationError

from serving.gateway.api import Condition, Event, RecommendRequest

EVENT = {"event_id": "e", "user_id": "u", "item_id": "i", "type": "click", "timestamp_ms": 1_503_695_817_065}


@pytest.mark.parametrize("number", [True, "3"])
@pytest.mark.parametrize("field", ["value", "position", "timestamp_ms"])
def test_neither_a_truth_nor_a_text_is_a_number_of_an_event(field: str, number: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        Event(**{**EVENT, field: number})


@pytest.mark.parametrize("number", [True, "3"])
def test_nor_of_a_request(number: Any) -> None:
    with pytest.raises(ValidationError, match="count"):
        RecommendRequest(count=number)
    with pytest.raises(ValidationError, match="at_least"):
        Condition(feature="year", at_least=number)


def test_a_whole_number_is_a_number_too() -> None:
    assert Event(**EVENT, value=3).value == 3.0
    assert Condition(feature="year", at_least=1990).at_least == 1990.0
