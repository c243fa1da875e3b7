"""On a checkerboard, whose right answer is known: even users have even items, odd users odd ones, each but one."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

from components.errors import ConfigError
from components.evaluation.library_baselines import Bpr, Data, Ials, bpr_lists, check_library, ials_lists

USERS, ITEMS = 60, 20
LACKING = (np.arange(USERS) % 2 + 2 * (np.arange(USERS) // 2 % 10)).astype(np.int32)


@pytest.fixture
def board() -> Data:
    """The last query is of a user of whom nothing was learnt, who has had the even items 0 to 16 by now."""
    had = (np.arange(USERS)[:, None] + np.arange(ITEMS)) % 2 == 0
    had[np.arange(USERS), LACKING] = False
    items = np.nonzero(had)[1].astype(np.int32).reshape(USERS, 9)
    of_new = np.arange(0, 18, 2, dtype=np.int32)
    asked = np.vstack([items, of_new])
    return Data(sp.csr_matrix(had.astype(np.int32)), np.append(np.arange(USERS), -1), asked, asked)


def test_ials_finds_what_each_user_lacks(board: Data) -> None:
    lists = ials_lists(board, Ials(factors=4, regularization=0.01, alpha=1.0, iterations=15), 0, 3)
    assert lists[:, 0].tolist() == [*LACKING, 18]
    assert not (lists[:, :, None] == board.seen[:, None]).any()
    np.testing.assert_array_equal(lists, ials_lists(board, Ials(4, 0.01, 1.0, 15), 0, 3))


def test_bpr_finds_what_each_user_lacks_and_what_is_popular_for_a_new_one(board: Data) -> None:
    settings = Bpr(factors=8, learning_rate=0.1, regularization=0.001, iterations=300)
    lists = bpr_lists(board, settings, 0, 3)
    assert (lists[:-1, 0] == LACKING).mean() > 0.9
    counts = np.asarray(board.users.sum(axis=0)).ravel()
    unseen = [item for item in np.argsort(-counts, kind="stable") if item not in board.seen[-1]]
    assert lists[-1].tolist() == unseen[:3]
    np.testing.assert_array_equal(lists, bpr_lists(board, settings, 0, 3))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit", None)
    with pytest.raises(ConfigError, match=r"need the package implicit, .* wanted it installed: .make env."):
        check_library()
