import numpy as np
import pytest

from components.models.features import Slot
from components.models.items import ItemFacts, ItemTable

COLOURS = 4  # 0 is the unknown one


@pytest.fixture
def facts() -> ItemFacts:
    """Three items; the last one has no training event. Their colours are 1, 2 and 3."""
    return ItemFacts(
        ids=["ant", "bee", "cow"],
        slots=(Slot("colour", "category", COLOURS),),
        values={"colour": np.array([1, 2, 3, 0], np.int64)},
        trained=np.array([True, True, False]),
    )


@pytest.fixture
def table(facts: ItemFacts) -> ItemTable:
    return ItemTable(facts)
