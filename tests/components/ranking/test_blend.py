import numpy as np
import pytest

from components.ranking.blend import blend_weights

CANDIDATES = 40
Moments = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def moments(of_own: float, of_recall: float, count: int = 4_000) -> Moments:
    """Moments of which the model is true, with the places that were drawn by it; of every second the last half is padding."""
    rng = np.random.default_rng(3)
    own, recalled, other = rng.normal(size=(3, count, CANDIDATES))
    there = np.ones((count, CANDIDATES), bool)
    there[::2, CANDIDATES // 2 :] = False
    own[~there] = recalled[~there] = other[~there] = 50.0
    noise = rng.gumbel(size=(count, CANDIDATES))
    wanted = np.where(there, of_own * own + of_recall * recalled + other + noise, -np.inf).argmax(axis=1)
    return own, recalled, other, there, wanted


@pytest.mark.parametrize(("of_own", "of_recall"), [(1.0, 0.5), (0.5, 1.0), (2.0, 0.2)])
def test_the_weights_are_those_which_made_the_choices(of_own: float, of_recall: float) -> None:
    assert blend_weights(*moments(of_own, of_recall)) == pytest.approx((of_own, of_recall), rel=0.1)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_each_is_in_units_of_its_own(scale: float) -> None:
    own, recalled, other, there, wanted = moments(1.0, 0.5)
    of_own, of_recall = blend_weights(scale * own, recalled, other, there, wanted)
    assert (scale * of_own, of_recall) == pytest.approx((1.0, 0.5), rel=0.1)


def test_who_says_the_opposite_is_not_heard() -> None:
    own, recalled, other, there, wanted = moments(1.0, 1.0)
    assert 0 < blend_weights(own, -recalled, other, there, wanted)[1] < 0.01
    assert 0 < blend_weights(-own, recalled, other, there, wanted)[0] < 0.01


def test_moments_that_gainsay_both_leave_an_order() -> None:
    own, recalled, other, there, wanted = moments(1.0, 1.0)
    assert min(blend_weights(-own, -recalled, other, there, wanted)) > 0


def test_a_few_moments_say_little() -> None:
    """One alone would have one of the two count for ever more."""
    own, recalled, other, there, wanted = (each[1:2] for each in moments(1.0, 1.0))
    assert np.abs(np.array(blend_weights(own, recalled, other, there, wanted)) - 1).max() < 1.5


def test_who_says_the_same_of_all_stays_as_it_was() -> None:
    own, recalled, other, there, wanted = moments(1.0, 0.5)
    of_own, of_recall = blend_weights(np.ones_like(own), recalled, other, there, wanted)
    assert of_own == pytest.approx(1.0, abs=1e-3)
    assert of_recall > 0.2
