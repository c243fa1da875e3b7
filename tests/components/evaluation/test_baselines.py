import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from components.evaluation import baselines

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


def test_similarity_by_hand() -> None:
    # Users of item 0: a b c; of item 1: a b; of item 2: c. n_01 = 2, n_02 = 1, n_12 = 0. The repeat of (a, 0) is one.
    users = np.array(["a", "a", "a", "b", "b", "c", "c", "d"])
    items = np.array([0, 0, 1, 0, 1, 0, 2, -1], np.int32)
    found = baselines.item_similarity(users, items, 4, shrinkage=0).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 1)
    assert_allclose(found, expected, rtol=1e-6)
    shrunk = baselines.item_similarity(users, items, 4, shrinkage=5).toarray()
    assert shrunk[0, 1] == pytest.approx(2 / (np.sqrt(6) + 5))


def test_only_the_nearest_neighbours_are_kept() -> None:
    # Item 0 meets 1 twice, 2 and 3 once each with as many users: of the tie, the lower index stays.
    users = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])
    items = np.array([0, 1, 0, 1, 0, 2, 0, 3, 4], np.int32)
    found = baselines.item_similarity(users, items, 5, neighbour_count=2)
    assert_array_equal(found[0].nonzero()[1], [1, 2])
    assert_array_equal(np.diff(found.indptr), [2, 1, 1, 1, 0])


def test_no_training_pairs_give_no_similarity() -> None:
    nothing = np.empty(0, np.int32)
    assert baselines.item_similarity(nothing, nothing, 3).nnz == 0


def test_a_checkerboard_is_solved() -> None:
    # Even users have even items, odd users odd ones; each user lacks one item of its colour, which is the right answer.
    num_users, num_items = 40, 20
    board = (np.arange(num_users)[:, None] + np.arange(num_items)) % 2 == 0
    held_out = (np.arange(num_users) % 2 + 2 * (np.arange(num_users) // 2 % 10)).astype(np.int32)
    board[np.arange(num_users), held_out] = False
    users, items = np.nonzero(board)
    similarity = baselines.item_similarity(users, items.astype(np.int32), num_items)
    seen = items.astype(np.int32).reshape(num_users, 9)
    found = baselines.recommend_item_to_item(similarity, seen, seen, np.zeros(num_items), 1)
    assert_array_equal(found[:, 0], held_out)


@pytest.fixture
def chain() -> np.ndarray:
    """Similarities by hand: 0-1 0.9, 0-2 0.3, 3-2 0.8, 3-4 0.3."""
    matrix = np.zeros((6, 6), np.float32)
    for one, other, similarity in ((0, 1, 0.9), (0, 2, 0.3), (3, 2, 0.8), (3, 4, 0.3)):
        matrix[one, other] = matrix[other, one] = similarity
    return matrix


def recommend(matrix: np.ndarray, history: list[int], seen: list[int], k: int) -> list[int]:
    counts = np.array([1, 1, 1, 1, 1, 9])
    similarity = baselines.sp.csr_matrix(matrix)
    rows = np.array([history], np.int32), np.array([seen], np.int32)
    return baselines.recommend_item_to_item(similarity, *rows, counts, k)[0].tolist()


def test_item_to_item_sums_over_the_history(chain: np.ndarray) -> None:
    # History 3, 0: item 2 gets 0.8 + 0.3 = 1.1, item 1 0.9, item 4 0.3.
    assert recommend(chain, [3, 0, -1], [3, 0], 3) == [2, 1, 4]


def test_what_cannot_be_filled_is_filled_with_popular_items(chain: np.ndarray) -> None:
    # Item 0 leads to 1, which was seen, and 2. Then by count: 5, then 3 and 4 in a tie.
    assert recommend(chain, [0], [0, 1], 5) == [2, 5, 3, 4, -1]
    assert recommend(chain, [-1], [-1], 2) == [5, 0]


def test_equal_scores_are_taken_by_index() -> None:
    matrix = np.zeros((300, 300), np.float32)
    matrix[0, 1:] = 0.5
    assert recommend_wide(matrix, 4) == [1, 2, 3, 4]


def recommend_wide(matrix: np.ndarray, k: int) -> list[int]:
    similarity, history = baselines.sp.csr_matrix(matrix), np.array([[0]], np.int32)
    found = baselines.recommend_item_to_item(similarity, history, history, np.zeros(len(matrix)), k)
    return found[0].tolist()


def test_the_best_are_those_of_a_full_sort_in_any_chunk() -> None:
    # Scores in fifths make many ties; 700 x 2,000 scores take two chunks.
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 300, 9000), (2000 * rng.random(9000) ** 3).astype(np.int32)
    similarity = baselines.item_similarity(users, items, 2000, neighbour_count=2000)
    similarity.data = np.ceil(similarity.data * 40).astype(np.float32)  # whole numbers: sums are exact, ties many
    history = (2000 * rng.random((700, 6)) ** 3).astype(np.int32)
    found = baselines.recommend_item_to_item(similarity, history, history, np.zeros(2000), 15)
    for query in range(700):
        scores = np.asarray(similarity[history[query]].sum(axis=0)).ravel()
        scores[history[query]] = 0
        best = np.argsort(-scores, kind="stable")[:15]
        filled = int((scores[best] > 0).sum())
        assert_array_equal(found[query, :filled], best[:filled])
        assert len(set(found[query])) == 15
        assert not set(found[query]) & set(history[query])


def test_wrong_shapes_are_refused() -> None:
    similarity = baselines.sp.csr_matrix((3, 3), dtype=np.float32)
    with pytest.raises(ValueError, match=r"got 1 histories and 2 rows of seen items; wanted as many"):
        baselines.recommend_item_to_item(similarity, NONE_SEEN, np.empty((2, 0), np.int32), np.zeros(3), 1)
    with pytest.raises(ValueError, match=r"got counts of 4 items and similarities of 3; wanted the same items"):
        baselines.recommend_item_to_item(similarity, NONE_SEEN, NONE_SEEN, np.zeros(4), 1)
    with pytest.raises(ValueError, match=r"got 2 users and 1 items; wanted one of each for every pair"):
        baselines.item_similarity(np.array([0, 1]), np.array([0], np.int32), 3)
