import numpy as np
import pytest

from components.ranking.blend import MOST, recall_weight

CANDIDATES = 40


def moments(of_own: float, of_recall: float, count: int = 4_000) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Moments of which the model is true, with the places that were drawn by it; of every second the last half is padding."""
    rng = np.random.default_rng(3)
    own, recalled = rng.normal(size=(2, count, CANDIDATES))
    there = np.ones((count, CANDIDATES), bool)
    there[::2, CANDIDATES // 2 :] = False
    own[~there] = recalled[~there] = 50.0
    noise = rng.gumbel(size=(count, CANDIDATES))
    wanted = np.where(there, of_own * own + of_recall * recalled + noise, -np.inf).argmax(axis=1)
    return own, recalled, there, wanted


@pytest.mark.parametrize(("of_own", "of_recall"), [(1.0, 0.5), (0.5, 1.0), (2.0, 0.2)])
def test_the_weight_is_that_which_made_the_choices(of_own: float, of_recall: float) -> None:
    assert recall_weight(*moments(of_own, of_recall)) == pytest.approx(of_recall / of_own, rel=0.1)


def test_the_scale_of_either_does_not_change_the_order() -> None:
    own, recalled, there, wanted = moments(1.0, 0.5)
    assert recall_weight(10 * own, recalled, there, wanted) == pytest.approx(5.0, rel=0.1)


def test_who_says_the_opposite_is_not_heard() -> None:
    own, recalled, there, wanted = moments(1.0, 1.0)
    assert recall_weight(own, -recalled, there, wanted) == 0
    assert recall_weight(-own, recalled, there, wanted) == MOST
