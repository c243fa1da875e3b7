"""Both ways by hand, on four users: {0, 1}, {0, 1}, {0, 2}, {3}; item 4 was had by nobody."""

import numpy as np
import pytest
import scipy.sparse as sp

from components.config import CosineSettings, EaseSettings
from components.errors import DataError
from components.item_to_item.neighbours import Block
from components.item_to_item.similarity import CELLS_AT_ONCE, cosine_block, ease_blocks

USERS = np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 1, 0]])
GRAM = sp.csr_matrix(USERS.T @ USERS)  # the diagonal: 3, 2, 1, 1, 0


def dense(blocks: list[Block], items: int = 5) -> np.ndarray:
    made = np.zeros((items, items))
    for block in blocks:
        row = block.first + np.repeat(np.arange(len(block.count)), block.count)
        made[row, block.item] = block.score
    return made


def cosine(**settings: float) -> np.ndarray:
    users = GRAM.diagonal().astype(np.int64)
    return dense([cosine_block(GRAM[first : first + 2], first, users, CosineSettings(**settings)) for first in (0, 2, 4)])


def test_cosine_by_hand() -> None:
    """n_01 = 2 and n_02 = 1; without the diagonal."""
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 1)
    np.testing.assert_allclose(cosine(shrinkage=0), expected, rtol=1e-6)
    assert cosine(shrinkage=5)[0, 1] == pytest.approx(2 / (np.sqrt(6) + 5), rel=1e-6)


def test_the_nearest_neighbours_are_kept_and_of_a_tie_the_lower_row() -> None:
    """Item 0 was had with 1 by two, with 2 and 3 by one each, who had nothing else."""
    gram = sp.csr_matrix([[4, 2, 1, 1], [2, 2, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])
    block = cosine_block(gram, 0, np.array([4, 2, 1, 1]), CosineSettings(neighbours=2))
    assert block.count.tolist() == [2, 1, 1, 1]
    assert block.item.tolist() == [1, 2, 0, 0, 0]


def test_ease_by_hand() -> None:
    """Of two items with XᵀX = [[2, 1], [1, 1]] and λ = 1: P = [[2, -1], [-1, 3]] / 5, B_01 = 1 / 3, B_10 = 1 / 2."""
    (block,) = ease_blocks(sp.csr_matrix([[2, 1], [1, 1]]), EaseSettings(l2=1))
    np.testing.assert_allclose(dense([block], 2), [[0, 1 / 3], [1 / 2, 0]], rtol=1e-6)


def test_ease_is_ridge_regression_of_each_item_by_the_others() -> None:
    """The paper's problem, solved column by column; items 0 and 3 were never had together, yet they can have a weight."""
    rng = np.random.default_rng(3)
    users = (rng.random((60, 7)) < 0.3).astype(int)
    users[:, 5] = 0
    found = dense(list(ease_blocks(sp.csr_matrix(users.T @ users), EaseSettings(l2=2.5))), 7)
    for item in range(7):
        others = [each for each in range(7) if each != item]
        x = users[:, others]
        weights = np.linalg.solve(x.T @ x + 2.5 * np.eye(6), x.T @ users[:, item])
        np.testing.assert_allclose(found[others, item], weights, atol=1e-6)
    assert not found[5].any()
    assert not found[:, 5].any()
    assert not found.diagonal().any()


def test_ease_keeps_what_speaks_most_for_or_against() -> None:
    """With item 0 go 1 with 0.47 and 2 with 0.47; the weights of 1 and 2 upon each other are negative, and larger."""
    gram = sp.csr_matrix([[10, 5, 5], [5, 6, 1], [5, 1, 6]])
    whole = dense(list(ease_blocks(gram, EaseSettings(l2=1))), 3)
    kept = dense(list(ease_blocks(gram, EaseSettings(l2=1, neighbours=1))), 3)
    for row in range(3):
        best = np.argmax(np.abs(whole[row]))
        assert kept[row, best] == whole[row, best]
        assert np.count_nonzero(kept[row]) == 1


def test_ease_refuses_a_catalogue_that_does_not_fit() -> None:
    with pytest.raises(
        DataError, match=r"found 4 items with training events, wanted at most 3 \(item_to_item.max_items\): .* use kind: cosine"
    ):
        list(ease_blocks(GRAM, EaseSettings(max_items=3)))


def test_nothing_was_had() -> None:
    assert list(ease_blocks(sp.csr_matrix((3, 3), dtype=int), EaseSettings())) == []


def test_ease_of_many_items_is_made_in_blocks() -> None:
    """Of pairs of items that were had together by one user each: XᵀX = [[1, 1], [1, 1]] and λ = 1, so that B_01 = 1 / 2."""
    pairs = 1_050
    gram = sp.kron(sp.identity(pairs, dtype=int), np.ones((2, 2), int), format="csr")
    blocks = list(ease_blocks(gram, EaseSettings(l2=1)))
    assert [block.first for block in blocks] == [0, CELLS_AT_ONCE // (2 * pairs)]
    item, score = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("item", "score"))
    np.testing.assert_array_equal(item, np.arange(2 * pairs) ^ 1)
    np.testing.assert_allclose(score, 0.5, rtol=1e-6)
