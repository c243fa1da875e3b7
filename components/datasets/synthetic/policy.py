"""The logging policy: which items it shows, and with which known probability.

Its score of an item for a user is log-popularity plus the affinity between what it believes of the user and the item's
category. It shows items drawn from the softmax of the scores, mixed with a small uniform share, one after the other
without replacement (a Plackett-Luce list). As affinity is one number a category, the softmax over all items splits
into one over categories and one within the category that all users share; so a draw costs the same for a thousand
items as for a million.
"""

from dataclasses import dataclass

import numpy as np

from components.datasets.synthetic.items import CATEGORIES
from components.datasets.synthetic.world import World, novelty

POSITION_COUNT = 10
UNIFORM_SHARE = 0.1
POPULARITY_WEIGHT = 1.3
NOVELTY_WEIGHT = 1.0
AFFINITY_WEIGHT = 0.7


@dataclass(frozen=True)
class Shelf:
    """The items that can be shown during one stretch of time, as the policy sees them.

    Attributes:
      item: ``[live]`` item indices, those of one category side by side.
      category: ``[live]`` index into `CATEGORIES`.
      weight: ``[live]`` float64: exp(score) without the affinity.
      end: ``[categories]`` where the category ends in ``item``.
      weight_until: ``[live]`` running sum of ``weight``.
    """

    item: np.ndarray
    category: np.ndarray
    weight: np.ndarray
    end: np.ndarray
    weight_until: np.ndarray


def open_shelf(world: World, start_ms: int, end_ms: int) -> Shelf:
    """The items that live from ``start_ms`` to ``end_ms``, with their popularity at the start."""
    items = world.items
    live = np.flatnonzero((items.created_ms <= start_ms) & (items.dies_ms >= end_ms))
    live = live[np.argsort(items.category[live], kind="stable")]
    score = POPULARITY_WEIGHT * items.popularity[live] + NOVELTY_WEIGHT * novelty(items, live, start_ms)
    weight = np.exp(score.astype(np.float64))
    category = items.category[live]
    end = np.searchsorted(category, np.arange(len(CATEGORIES)), side="right")
    return Shelf(item=live, category=category, weight=weight, end=end, weight_until=np.cumsum(weight))


def draw_lists(world: World, shelf: Shelf, user: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a list of different items for each of ``[n]`` users.

    Returns:
      ``[n, POSITION_COUNT]`` item indices, and ``[n, POSITION_COUNT]`` float64 propensities: the probability that the
      policy puts this item at this position, given the items above it.
    """
    appeal = _appeal(world, user)
    mass = _category_mass(shelf) * appeal
    mass_until = np.cumsum(mass, axis=1)
    total = mass_until[:, -1:]
    until = mass_until / total
    shown = np.full((len(user), POSITION_COUNT), -1)
    count = np.zeros(len(user), np.int64)
    unfilled = np.arange(len(user))
    # To draw again when the item is in the list already is to draw from what is left.
    while len(unfilled):
        drawn = _draw(shelf, until[unfilled], rng)
        fresh = ~(shown[unfilled] == drawn[:, None]).any(axis=1)
        rows = unfilled[fresh]
        shown[rows, count[rows]] = drawn[fresh]
        count[rows] += 1
        unfilled = unfilled[count[unfilled] < POSITION_COUNT]
    softmax = shelf.weight[shown] * np.take_along_axis(appeal, shelf.category[shown], axis=1) / total
    probability = (1 - UNIFORM_SHARE) * softmax + UNIFORM_SHARE / len(shelf.item)
    above = np.cumsum(probability, axis=1) - probability
    return shelf.item[shown], probability / (1 - above)


def first_position_probability(world: World, shelf: Shelf, user: np.ndarray) -> np.ndarray:
    """``[n, live]`` float64: the policy's whole distribution over ``shelf.item`` for the top of a list."""
    score = shelf.weight * _appeal(world, user)[:, shelf.category]
    softmax = score / score.sum(axis=1, keepdims=True)
    return (1 - UNIFORM_SHARE) * softmax + UNIFORM_SHARE / len(shelf.item)


def _appeal(world: World, user: np.ndarray) -> np.ndarray:
    """``[n, categories]`` float64: exp(affinity)."""
    affinity = AFFINITY_WEIGHT * (world.users.profile[user] @ world.items.category_vector.T)
    appeal: np.ndarray = np.exp(affinity.astype(np.float64))
    return appeal


def _category_mass(shelf: Shelf) -> np.ndarray:
    """``[categories]`` float64: the sum of the weights of each category, 0 where it has no items."""
    return np.bincount(shelf.category, shelf.weight, minlength=len(CATEGORIES))


def _draw(shelf: Shelf, until: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``[n]`` places on the shelf, one for each row of ``until``, the running share of the categories."""
    category_draw, item_draw, uniform_draw = rng.random((3, len(until)))
    category = np.zeros(len(until), np.int64)
    for each in range(len(CATEGORIES) - 1):
        category += until[:, each] <= category_draw
    end = shelf.end[category]
    begin = np.where(category > 0, shelf.end[category - 1], 0)
    low = np.where(begin > 0, shelf.weight_until[begin - 1], 0.0)
    weight = low + item_draw * (shelf.weight_until[end - 1] - low)
    place = np.clip(np.searchsorted(shelf.weight_until, weight, side="right"), begin, end - 1)
    # The part of the draw below the uniform share says which item, all alike.
    uniform = (uniform_draw / UNIFORM_SHARE * len(shelf.item)).astype(np.int64)
    return np.where(uniform_draw < UNIFORM_SHARE, np.minimum(uniform, len(shelf.item) - 1), place)
