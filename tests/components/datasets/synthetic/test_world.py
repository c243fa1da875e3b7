from dataclasses import replace

import numpy as np
import pytest

from components.datasets.synthetic import SyntheticConfig, World, make_world, true_preference
from components.datasets.synthetic.config import MS_PER_DAY
from components.datasets.synthetic.items import CATEGORIES
from components.datasets.synthetic.users import DRIFT_SHARE, KNOT_MS, MOOD_MS


def test_items_come_in_order_and_enough_of_them_stay(world: World) -> None:
    items, config = world.items, world.config
    assert np.all(np.diff(items.created_ms) >= 0)
    assert np.all(items.dies_ms - np.maximum(items.created_ms, config.start_ms) >= 2 * MS_PER_DAY)
    assert np.mean(items.created_ms > config.start_ms) == pytest.approx(0.4, abs=0.001)
    assert np.mean((items.created_ms <= config.start_ms) & (items.dies_ms > config.end_ms)) > 0.25
    assert np.mean(items.dies_ms < config.end_ms) > 0.1


def test_what_is_seen_of_an_item_tells_what_it_is(world: World) -> None:
    items = world.items
    np.testing.assert_allclose(np.linalg.norm(items.vector, axis=1), 1, rtol=1e-5)
    cosine = np.einsum("nd,nd->n", items.vector, items.category_vector[items.category])
    assert cosine.mean() > 0.7
    brand = np.array([title.split()[0] for title in items.title])
    assert all(len(set(items.category[brand == each])) == 1 for each in set(brand))
    assert np.corrcoef(np.log(items.price), items.quality)[0, 1] > 0.25
    assert np.corrcoef(items.popularity, items.quality)[0, 1] == pytest.approx(0.6, abs=0.05)


def test_items_have_one_to_four_different_tags(world: World) -> None:
    tags = world.items.tags
    counts = (tags >= 0).sum(axis=1)
    assert set(counts) == {1, 2, 3, 4}
    assert len(set(world.items.tag_names)) == len(world.items.tag_names)
    assert all(len(set(row[row >= 0])) == count for row, count in zip(tags, counts, strict=True))


def test_taste_drifts_and_forgets() -> None:
    users = make_world(SyntheticConfig(users=20_000)).users
    first, _, later = users.drift[0], users.drift[1], users.drift[2]
    # 160,000 draws: four standard errors of a correlation are 0.01.
    assert np.var(first) == pytest.approx(DRIFT_SHARE, rel=0.02)
    assert np.var(later) == pytest.approx(DRIFT_SHARE, rel=0.02)
    # Two knots are 14 days, the memory: exp(-1).
    assert np.corrcoef(first.ravel(), later.ravel())[0, 1] == pytest.approx(0.368, abs=0.01)


def test_taste_between_knots_is_their_weighted_mean(world: World) -> None:
    users = world.users
    user = np.array([3])
    quarter = users.taste(user, np.array([world.config.start_ms + KNOT_MS + KNOT_MS // 4]))
    wanted = users.lasting_taste[3] + 0.75 * users.drift[1, 3] + 0.25 * users.drift[2, 3]
    np.testing.assert_allclose(quarter[0], wanted, rtol=1e-5)


def test_mood_lasts_half_a_day_and_is_any_category(world: World) -> None:
    user = np.arange(50_000)
    noon = np.full(len(user), world.config.start_ms + MOOD_MS)
    mood = world.users.mood(user, noon)
    np.testing.assert_array_equal(mood, world.users.mood(user, noon + MOOD_MS - 1))
    # A new one is the same by chance, one time in 24: 0.0417, give or take four standard errors.
    assert np.mean(mood == world.users.mood(user, noon + MOOD_MS)) == pytest.approx(1 / 24, abs=0.0036)
    expected = len(user) / len(CATEGORIES)
    chi_square = np.sum((np.bincount(mood, minlength=len(CATEGORIES)) - expected) ** 2) / expected
    assert chi_square < 49.7  # 23 degrees of freedom, p = 0.001


def test_preference_is_the_formula(world: World) -> None:
    day = np.int64(MS_PER_DAY)
    items, users = world.items, world.users
    created_ms = np.full(len(items.created_ms), world.config.start_ms)
    bare = replace(
        world,
        items=replace(items, vector=np.zeros_like(items.vector), quality=np.zeros_like(items.quality), created_ms=created_ms),
        users=replace(users, lasting_taste=np.zeros_like(users.lasting_taste), drift=np.zeros_like(users.drift)),
    )
    # Eight days old: logit = -2.6 + 0.7 / e = -2.3425; 1 / (1 + exp(2.3425)) = 0.08766.
    found = true_preference(bare, np.array([0]), np.array([[0, 1]]), np.array([world.config.start_ms + 8 * day]))
    np.testing.assert_allclose(found, [[0.08766, 0.08766]], rtol=1e-3)

    # Of one dimension, taste 2, vector 1, the mood's category across it, quality 1: logit + 1.4 * 2 + 0.5 = 0.9575.
    one = np.zeros_like(items.vector)
    one[:, 0] = 1
    taste = np.zeros_like(users.lasting_taste)
    taste[:, 0] = 2
    across = np.zeros_like(items.category_vector)
    across[:, 1] = 1
    full = replace(
        bare,
        items=replace(bare.items, vector=one, quality=np.ones_like(items.quality), category_vector=across),
        users=replace(bare.users, lasting_taste=taste),
    )
    found = true_preference(full, np.array([0]), np.array([[0]]), np.array([world.config.start_ms + 8 * day]))
    np.testing.assert_allclose(found, [[0.72262]], rtol=1e-3)


def test_worlds_of_one_seed_are_one() -> None:
    config = SyntheticConfig(events=1000, seed=5)
    one, same, other = make_world(config), make_world(config), make_world(replace(config, seed=6))
    np.testing.assert_array_equal(one.items.vector, same.items.vector)
    np.testing.assert_array_equal(one.users.drift, same.users.drift)
    assert not np.array_equal(one.items.vector, other.items.vector)
