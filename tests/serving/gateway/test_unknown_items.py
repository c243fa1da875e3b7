import numpy as np
import pytest

from serving.gateway.unknown_items import borrowed

PREDICTIONS = {
    "score": np.array([0.9, 0.1, 0.5, 0.3, 0.3], np.float32),
    "click": np.array([0.09, 0.01, 0.05, 0.03, 0.03], np.float32),
}
UNKNOWN = np.array([False, False, False, True, True])


@pytest.mark.parametrize(
    ("recalled", "lender"),
    [(9.0, 0), (3.0, 0), (2.5, 2), (1.5, 1), (0.0, 1)],
    ids=["above all", "level with the best", "above all but one", "above all but two", "below all"],
)
def test_an_unknown_item_has_the_predictions_of_the_known_one_at_its_place(recalled: float, lender: int) -> None:
    """Recall's scores of the known ones are 1, 2, 3, and the ranker's order is 0, 2, 1."""
    recall_score = np.array([1.0, 2.0, 3.0, recalled, -5.0], np.float32)
    made = borrowed(PREDICTIONS, UNKNOWN, recall_score)
    assert {name: values[3] for name, values in made.items()} == {
        name: values[lender] for name, values in PREDICTIONS.items()
    }  # fmt: skip
    assert made["score"][:3].tolist() == PREDICTIONS["score"][:3].tolist()
    assert made["score"][4] == PREDICTIONS["score"][1]  # below all: the last one's


def test_where_none_is_known_nothing_is_borrowed() -> None:
    made = borrowed(PREDICTIONS, np.ones(5, bool), np.arange(5, dtype=np.float32))
    assert made["score"].tolist() == PREDICTIONS["score"].tolist()
