import numpy as np
import pytest
from numpy.testing import assert_array_equal

from components.evaluation import baselines
from components.item_to_item.neighbours import Neighbours

NONE_SEEN = np.empty((1, 0), np.int32)


def test_popularity_counts_by_hand() -> None:
    items = np.array([2, 0, 2, -1, 2], np.int32)
    assert_array_equal(baselines.popularity_counts(items, 4), [1, 0, 3, 0])


def test_popular_items_without_those_seen() -> None:
    # By count, ties by index: 3 (9), 1 (5), 4 (5), 0 (2), 2 (0).
    counts = np.array([2, 5, 0, 9, 5])
    seen = np.array([[-1, -1], [3, 4], [-1, 1]], np.int32)
    assert_array_equal(baselines.recommend_popular(counts, seen, 3), [[3, 1, 4], [1, 0, 2], [3, 4, 0]])


def test_a_popular_list_that_runs_out_is_padded() -> None:
    seen = np.array([[1, 0]], np.int32)
    assert_array_equal(baselines.recommend_popular(np.array([1, 2, 3]), seen, 4), [[2, -1, -1, -1]])


def test_random_lists_hold_each_unseen_item_equally_often() -> None:
    """20,000 lists of 2 out of 4 items of 5: each of the 12 stands in one of 12 with a standard deviation of 0.0020."""
    seen = np.full((20_000, 2), [3, -1], np.int32)
    found = baselines.recommend_random(5, seen, 2, seed=1)
    lists, counts = np.unique(found, axis=0, return_counts=True)
    assert {tuple(each) for each in lists} == {(one, other) for one in (0, 1, 2, 4) for other in (0, 1, 2, 4) if one != other}
    np.testing.assert_allclose(counts / len(found), 1 / 12, atol=4 * 0.0020)
    assert_array_equal(found, baselines.recommend_random(5, seen, 2, seed=1))
    assert (found != baselines.recommend_random(5, seen, 2, seed=2)).any()


def test_random_lists_are_padded_and_pass_over_what_was_seen() -> None:
    seen = np.array([[1, 0, -1], [-1, -1, -1], [2, 1, 0]], np.int32)
    found = baselines.recommend_random(3, seen, 4, seed=3)
    assert_array_equal(found[0], [2, -1, -1, -1])
    assert_array_equal(np.sort(found[1]), [-1, 0, 1, 2])
    assert_array_equal(found[2], [-1, -1, -1, -1])
    of_many = baselines.recommend_random(1_000_000, np.arange(300, dtype=np.int32).reshape(1, -1), 100, seed=4)
    assert len(np.unique(of_many)) == 100
    assert of_many.min() >= 300


@pytest.fixture
def chain() -> np.ndarray:
    """Similarities by hand: 0-1 0.9, 0-2 0.3, 3-2 0.8, 3-4 0.3."""
    matrix = np.zeros((6, 6), np.float32)
    for one, other, similarity in ((0, 1, 0.9), (0, 2, 0.3), (3, 2, 0.8), (3, 4, 0.3)):
        matrix[one, other] = matrix[other, one] = similarity
    return matrix


def table(matrix: np.ndarray) -> Neighbours:
    row, item = matrix.nonzero()
    start = np.searchsorted(row, np.arange(len(matrix) + 1))
    return Neighbours(start, item.astype(np.int32), matrix[row, item])


def recommend(matrix: np.ndarray, history: list[int], seen: list[int], k: int) -> list[int]:
    counts = np.array([1, 1, 1, 1, 1, 9])
    rows = np.array([history], np.int32), np.array([seen], np.int32)
    return baselines.recommend_item_to_item(table(matrix), *rows, counts, k)[0].tolist()


def test_item_to_item_sums_over_the_history(chain: np.ndarray) -> None:
    # History 3, 0: item 2 gets 0.8 + 0.3 = 1.1, item 1 0.9, item 4 0.3.
    assert recommend(chain, [3, 0, -1], [3, 0], 3) == [2, 1, 4]


def test_what_cannot_be_filled_is_filled_with_popular_items(chain: np.ndarray) -> None:
    # Item 0 leads to 1, which was seen, and 2. Then by count: 5, then 3 and 4 in a tie.
    assert recommend(chain, [0], [0, 1], 5) == [2, 5, 3, 4, -1]
    assert recommend(chain, [-1], [-1], 2) == [5, 0]


def test_wrong_shapes_are_refused(chain: np.ndarray) -> None:
    neighbours = table(chain)
    with pytest.raises(ValueError, match=r"got 1 histories and 2 rows of seen items; wanted as many"):
        baselines.recommend_item_to_item(neighbours, NONE_SEEN, np.empty((2, 0), np.int32), np.zeros(6), 1)
    with pytest.raises(ValueError, match=r"got counts of 4 items and neighbours of 6; wanted those of the same items"):
        baselines.recommend_item_to_item(neighbours, NONE_SEEN, NONE_SEEN, np.zeros(4), 1)


def test_the_best_unseen_of_some_scores_at_a_time() -> None:
    """Ties go by index; what must not come back does not, though all else scores less than nothing."""
    scores = np.array([[3, 1, 3, 2], [-1, -2, -3, -1], [0, 0, 0, 0]], np.float32)
    seen = np.array([[0, -1], [-1, 3], [1, 0]], np.int32)
    found = baselines.best_unseen(lambda rows: scores[rows], seen, 4, 3)
    assert_array_equal(found, [[2, 3, 1], [0, 1, 2], [2, 3, -1]])
    assert_array_equal(baselines.best_unseen(lambda rows: scores[rows], seen, 4, 6)[0], [2, 3, 1, -1, -1, -1])


def test_many_scores_are_made_some_queries_at_a_time() -> None:
    rng = np.random.default_rng(5)
    scores, asked = rng.random((900, 2_000), np.float32), []
    found = baselines.best_unseen(lambda rows: asked.append(rows) or scores[rows], np.empty((900, 0), np.int32), 2_000, 5)
    assert len(asked) == 2
    assert_array_equal(found, np.argsort(-scores, axis=1)[:, :5])
