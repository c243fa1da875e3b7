import numpy as np
import pytest

from components.datasets.synthetic import SyntheticConfig, World, make_world
from components.datasets.synthetic.config import MS_PER_HOUR
from components.datasets.synthetic.policy import (
    AFFINITY_WEIGHT,
    POSITION_COUNT,
    UNIFORM_SHARE,
    Shelf,
    draw_lists,
    first_position_probability,
    open_shelf,
)


@pytest.fixture(scope="module")
def small() -> World:
    return make_world(SyntheticConfig(events=1000, items=100, seed=2))


@pytest.fixture(scope="module")
def shelf(small: World) -> Shelf:
    return open_shelf(small, small.config.start_ms, small.config.start_ms + 6 * MS_PER_HOUR)


def test_shelf_holds_what_lives_all_the_while(world: World) -> None:
    start_ms = world.config.start_ms + 200 * MS_PER_HOUR
    shelf = open_shelf(world, start_ms, start_ms + 6 * MS_PER_HOUR)
    on_it = np.zeros(world.config.item_count, bool)
    on_it[shelf.item] = True
    np.testing.assert_array_equal(
        on_it, (world.items.created_ms <= start_ms) & (world.items.dies_ms >= start_ms + 6 * MS_PER_HOUR)
    )
    assert 0 < on_it.sum() < len(on_it)


def test_probability_is_the_softmax_of_popularity_and_affinity(small: World, shelf: Shelf) -> None:
    probability = first_position_probability(small, shelf, np.arange(5))
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    for user in range(5):
        affinity = small.items.category_vector[small.items.category[shelf.item]] @ small.users.profile[user]
        score = np.log(shelf.weight) + AFFINITY_WEIGHT * affinity
        softmax = np.exp(score) / np.exp(score).sum()
        wanted = (1 - UNIFORM_SHARE) * softmax + UNIFORM_SHARE / len(shelf.item)
        np.testing.assert_allclose(probability[user], wanted, rtol=1e-5)


def test_lists_have_no_repeats_and_say_their_propensity(small: World, shelf: Shelf) -> None:
    user = np.arange(small.config.user_count)
    shown, propensity = draw_lists(small, shelf, user, np.random.default_rng(1))
    assert shown.shape == propensity.shape == (len(user), POSITION_COUNT)
    by_item = np.zeros((len(user), small.config.item_count))
    by_item[:, shelf.item] = first_position_probability(small, shelf, user)
    for row, items in enumerate(shown):
        assert len(set(items)) == POSITION_COUNT
        for position, item in enumerate(items):
            left = 1 - by_item[row, items[:position]].sum()
            assert propensity[row, position] == pytest.approx(by_item[row, item] / left)


def test_top_items_are_drawn_as_often_as_said(small: World, shelf: Shelf) -> None:
    count = 40_000
    shown, _ = draw_lists(small, shelf, np.full(count, 4), np.random.default_rng(2))
    expected = first_position_probability(small, shelf, np.array([4]))[0] * count
    found = np.bincount(shown[:, 0], minlength=small.config.item_count)[shelf.item]
    assert found.sum() == count
    chi_square = np.sum((found - expected) ** 2 / expected)
    freedom = len(shelf.item) - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_lower_items_are_drawn_as_often_as_said(small: World, shelf: Shelf) -> None:
    _, propensity = draw_lists(small, shelf, np.full(40_000, 4), np.random.default_rng(3))
    # The mean of 1 / p over draws from p is the number of things that can be drawn: those not shown above.
    inverse = 1 / propensity
    for position in range(POSITION_COUNT):
        error = inverse[:, position].std() / np.sqrt(len(inverse))
        assert abs(inverse[:, position].mean() - (len(shelf.item) - position)) < 4 * error


def test_few_items_get_most_of_the_attention(world: World) -> None:
    shelf = open_shelf(world, world.config.start_ms, world.config.start_ms + 6 * MS_PER_HOUR)
    mean = np.sort(first_position_probability(world, shelf, np.arange(500)).mean(axis=0))[::-1]
    assert mean[: len(mean) // 10].sum() > 0.4
    assert mean.min() >= UNIFORM_SHARE / len(mean)
