import numpy as np
import pytest

from components.evaluation.slices import slice_queries


def members(masks: dict[str, np.ndarray]) -> dict[str, list[int]]:
    return {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()}


def test_values_make_slices() -> None:
    found = slice_queries({"device": np.array(["tv", "mobile", "tv"]), "hour": np.array([7, 7, 8])}, {})
    assert members(found.masks) == {"device=mobile": [1], "device=tv": [0, 2], "hour=7": [0, 1], "hour=8": [2]}
    assert found.masks["hour=7"].dtype == bool


def test_whole_numbers_make_named_ranges() -> None:
    history = np.array([0, 5, 1, 6, -1, 900])
    found = slice_queries({"history": history}, {"history": (0, 1, 6)})
    assert members(found.masks) == {"history<0": [4], "history=0": [0], "history=1-5": [1, 2], "history=6+": [3, 5]}
    assert found.dropped_counts == {"history": 0}


def test_fractions_make_intervals() -> None:
    found = slice_queries({"price": np.array([0.5, 10.0, np.nan, -1.0])}, {"price": (0, 10)})
    assert members(found.masks) == {"price<0": [3], "price=[0,10)": [0], "price>=10": [1], "price=missing": [2]}


def test_what_is_missing_is_a_slice() -> None:
    found = slice_queries({"device": np.array(["tv", None, None], object)}, {})
    assert members(found.masks) == {"device=missing": [1, 2], "device=tv": [0]}


def test_small_slices_are_dropped_and_counted() -> None:
    columns = {"device": np.array(["a", "b", "b", "c", "b"]), "age": np.array([1, 1, 1, 30, 30])}
    found = slice_queries(columns, {"age": (0, 18)}, min_queries=3)
    assert members(found.masks) == {"device=b": [1, 2, 4], "age=0-17": [0, 1, 2]}
    assert found.dropped_counts == {"device": 2, "age": 1}


@pytest.mark.parametrize(
    ("columns", "edges", "message"),
    [
        (
            {"age": np.array([1])},
            {"agee": [1]},
            r"got edges for \['agee'\]; wanted only columns that there are: \['age'\]",
        ),
        (
            {"a": np.array([1]), "b": np.array([1, 2])},
            {},
            r"different lengths, {'a': 1, 'b': 2}; wanted one value for each",
        ),
        (
            {"p": np.array([0.5])},
            {},
            r"got fractions in column 'p' and no edges for it; wanted edges to make ranges from",
        ),
        ({"d": np.array(["x"])}, {"d": [1]}, r"got edges for column 'd', which holds <U1; wanted numbers"),
        ({"p": np.array([1])}, {"p": (3, 3)}, r"got edges \(3, 3\) for column 'p'; wanted one or more, ascending"),
    ],
)
def test_wrong_columns_are_refused(columns: dict, edges: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slice_queries(columns, edges)
