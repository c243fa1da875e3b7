import numpy as np
from numpy.typing import NDArray

from components.funnel.offline import REQUESTS_AT_ONCE, OfflineFunnel, leave_out, pad_to
from components.index.index import ExactIndex


def rows(*lines: list[int]) -> NDArray[np.int32]:
    return np.array(lines, np.int32)


NOTHING = np.zeros((1, 0), np.int32)


def test_leave_out_keeps_the_order_of_the_rest() -> None:
    found = rows([5, 3, 8, 1], [5, 3, 8, 1])
    np.testing.assert_array_equal(leave_out(found, rows([3, 1], [9, 5]), 3), rows([5, 8, -1], [3, 8, 1]))


def test_leave_out_is_by_line() -> None:
    np.testing.assert_array_equal(leave_out(rows([1, 2], [1, 2]), rows([1], [2]), 2), rows([2, -1], [1, -1]))


def test_leave_out_skips_pads_on_both_sides() -> None:
    np.testing.assert_array_equal(leave_out(rows([-1, 0, -1, 2]), rows([-1, 7]), 3), rows([0, 2, -1]))
    np.testing.assert_array_equal(leave_out(rows([0, 2]), rows([-1]), 2), rows([0, 2]))


def test_leave_out_with_nothing_seen_or_nothing_left() -> None:
    np.testing.assert_array_equal(leave_out(rows([4, 2]), NOTHING, 1), rows([4]))
    np.testing.assert_array_equal(leave_out(rows([4, 2]), rows([2, 4]), 3), rows([-1, -1, -1]))


def test_pad_to_fills_or_cuts() -> None:
    np.testing.assert_array_equal(pad_to(rows([1, 2]), 4), rows([1, 2, -1, -1]))
    np.testing.assert_array_equal(pad_to(rows([1, 2, 3]), 2), rows([1, 2]))
    np.testing.assert_array_equal(pad_to(np.array([[0.5]]), 2, -np.inf), [[0.5, -np.inf]])


class OneTower:
    """The request of a sample is the number that it says, times the one dimension."""

    item_vectors = np.arange(6, dtype=np.float32)[:, None]

    def embed(self, examples: list[bytes]) -> NDArray[np.float32]:
        return np.array([[float(example)] for example in examples], np.float32)


class ByParity:
    """Puts even rows before odd ones, each in descending order; knows nothing of what was asked."""

    def scores(self, examples: list[bytes], rows: NDArray[np.int32]) -> NDArray[np.float32]:
        return np.where(rows % 2 == 0, 100 + rows, rows).astype(np.float32)


def funnel(candidates: int) -> OfflineFunnel:
    """Six items whose vectors are 0 to 5: a positive request recalls 5, 4, 3, …, a negative one 0, 1, 2, …"""
    index = ExactIndex(OneTower.item_vectors)
    return OfflineFunnel(OneTower(), index, ByParity(), candidates)  # type: ignore[arg-type]


def test_recall_then_ranking() -> None:
    lists = funnel(candidates=4).recommend([b"1", b"-1"], np.zeros((2, 0), np.int32), k=3)
    np.testing.assert_array_equal(lists.recalled, rows([5, 4, 3], [0, 1, 2]))
    np.testing.assert_array_equal(lists.ranked, rows([4, 2, 5], [2, 0, 3]))  # of 5 4 3 2, and of 0 1 2 3
    np.testing.assert_array_equal(lists.scores, [[104, 102, 5], [102, 100, 3]])


def test_what_was_seen_is_replaced_by_the_next() -> None:
    lists = funnel(candidates=2).recommend([b"1"], rows([5, 4, -1]), k=2)
    np.testing.assert_array_equal(lists.recalled, rows([3, 2]))
    np.testing.assert_array_equal(lists.ranked, rows([2, 3]))


def test_what_runs_out_is_padded() -> None:
    lists = funnel(candidates=6).recommend([b"1"], rows([0, 1, 2, 5]), k=4)
    np.testing.assert_array_equal(lists.ranked, rows([4, 3, -1, -1]))
    np.testing.assert_array_equal(lists.scores, [[104, 3, -np.inf, -np.inf]])


def test_many_requests_keep_their_order() -> None:
    signs = np.random.default_rng(2).choice([-1, 1], REQUESTS_AT_ONCE + 3)
    examples = [str(sign).encode() for sign in signs]
    seen = np.where(signs[:, None] > 0, 5, 0).astype(np.int32)
    lists = funnel(candidates=1).recommend(examples, seen, k=1)
    np.testing.assert_array_equal(lists.ranked[:, 0], np.where(signs > 0, 4, 1))


def test_among_some_rows_nothing_else_is_found() -> None:
    made = funnel(3).among(np.array([1, 2, 5], np.int32)).recommend([b"1", b"-1"], rows([5, -1], [-1, -1]), 3)
    np.testing.assert_array_equal(made.recalled, rows([2, 1, -1], [1, 2, 5]))
    np.testing.assert_array_equal(made.ranked, rows([2, 1, -1], [2, 5, 1]))
