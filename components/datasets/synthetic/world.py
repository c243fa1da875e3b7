"""A simulated world, and the truth about it: who would click on what, if they looked at it."""

from dataclasses import dataclass

import numpy as np

from components.datasets.synthetic.config import MS_PER_DAY, SyntheticConfig
from components.datasets.synthetic.items import Items, make_items
from components.datasets.synthetic.users import Users, make_users

RELEVANCE_LOGIT = -2.6  # of a middling item
TASTE_WEIGHT = 1.4
QUALITY_WEIGHT = 0.5
MOOD_WEIGHT = 1.0
NOVELTY_WEIGHT = 0.7
NOVELTY_DAYS = 8.0  # after which an item's attraction of being new is down to 1/e


@dataclass(frozen=True)
class World:
    """Everything that a simulation knows before the first event."""

    config: SyntheticConfig
    items: Items
    users: Users


def make_world(config: SyntheticConfig) -> World:
    """The world of a config: the same one each time."""
    return World(config, make_items(config), make_users(config))


def novelty(items: Items, item: np.ndarray, time_ms: np.ndarray | int) -> np.ndarray:
    """How new items are at a time (the arrays broadcast): float32, 1 at creation, exp(-age / `NOVELTY_DAYS`) later."""
    age_days = np.maximum(time_ms - items.created_ms[item], 0) / np.float32(MS_PER_DAY)
    fresh: np.ndarray = np.exp(-age_days.astype(np.float32) / np.float32(NOVELTY_DAYS))
    return fresh


def true_preference(world: World, user: np.ndarray, item: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
    """The probability that a user who looks at an item clicks on it: no position, no policy, no luck in it.

    sigmoid(`RELEVANCE_LOGIT` + weighted (taste + mood) . vector, quality and novelty).

    Args:
      user: ``[n]`` user indices.
      item: ``[n, m]`` item indices, m for each user.
      time_ms: ``[n]`` int64 UTC, within the period.

    Returns:
      ``[n, m]`` float32.
    """
    items, users = world.items, world.users
    wanted = users.taste(user, time_ms)
    wanted += np.float32(MOOD_WEIGHT) * items.category_vector[users.mood(user, time_ms)]
    logit = np.einsum("nd,nmd->nm", wanted, items.vector[item])
    logit *= np.float32(TASTE_WEIGHT)
    logit += np.float32(QUALITY_WEIGHT) * items.quality[item]
    logit += np.float32(NOVELTY_WEIGHT) * novelty(items, item, time_ms[:, None])
    probability: np.ndarray = 1 / (1 + np.exp(-(logit + np.float32(RELEVANCE_LOGIT))))
    return probability
