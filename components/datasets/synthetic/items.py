"""The things of a simulated world: where they lie in the space of taste, and what can be seen of that."""

from dataclasses import dataclass

import numpy as np

from components.datasets.synthetic.config import MS_PER_DAY, SyntheticConfig
from components.datasets.synthetic.words import different_words, words

LATENT_SIZE = 8
CATEGORIES = (
    "accessories", "art", "audio", "baby", "bags", "beauty", "bikes", "books",
    "cameras", "camping", "crafts", "fashion", "films", "food", "furniture", "games",
    "garden", "health", "jewellery", "kitchen", "music", "pets", "shoes", "toys",
)  # fmt: skip
TAG_COUNT = 96
MAX_TAGS = 4
BRANDS_PER_CATEGORY = 10
CATEGORY_IN_VECTOR = 0.8  # cosine between an item and its category, about
QUALITY_IN_POPULARITY = 0.6  # correlation: the rest of an item's popularity is luck
BORN_SHARE = 0.4
EVERGREEN_SHARE = 0.25
MEAN_LIFE_DAYS, MIN_LIFE_DAYS = 40.0, 2.0
MEAN_AGE_DAYS = 60.0  # of the items that are there when the period starts
NEVER_MS = 2**62


@dataclass(frozen=True)
class Items:
    """One row an item, in the order of creation.

    Attributes:
      vector: ``[items, latent]`` float32, of length 1.
      quality: ``[items]`` float32, standard normal: how much everybody likes it.
      popularity: ``[items]`` float32, standard normal: how much it has been shown, which quality explains in part.
      category: ``[items]`` index into `CATEGORIES`.
      category_vector: ``[categories, latent]`` float32, of length 1.
      created_ms, dies_ms: ``[items]`` int64; it can be shown from the one to the other.
      price: ``[items]`` float32; higher with quality, on a level of its category.
      title: ``[items]`` str; the first word is one of the brands of the category.
      tags: ``[items, MAX_TAGS]`` index into ``tag_names``, the nearest ones mostly; -1 where there are fewer.
    """

    vector: np.ndarray
    quality: np.ndarray
    popularity: np.ndarray
    category: np.ndarray
    category_vector: np.ndarray
    created_ms: np.ndarray
    dies_ms: np.ndarray
    price: np.ndarray
    title: np.ndarray
    tags: np.ndarray
    tag_names: np.ndarray


def make_items(config: SyntheticConfig) -> Items:
    rng = config.rng("items")
    count = config.item_count
    category_vector = unit_vectors(rng, len(CATEGORIES))
    category = rng.choice(len(CATEGORIES), count, p=rng.dirichlet(np.full(len(CATEGORIES), 4.0)))
    own = unit_vectors(rng, count)
    vector = CATEGORY_IN_VECTOR * category_vector[category] + np.sqrt(1 - CATEGORY_IN_VECTOR**2) * own
    vector = (vector / np.linalg.norm(vector, axis=1, keepdims=True)).astype(np.float32)
    quality = rng.normal(size=count)
    luck = rng.normal(size=count)
    popularity = QUALITY_IN_POPULARITY * quality + np.sqrt(1 - QUALITY_IN_POPULARITY**2) * luck
    price_level = rng.normal(3.0, 0.8, len(CATEGORIES))[category]
    created_ms, dies_ms = _lifetimes(rng, config)
    return Items(
        vector=vector,
        quality=quality.astype(np.float32),
        popularity=popularity.astype(np.float32),
        category=category,
        category_vector=category_vector,
        created_ms=created_ms,
        dies_ms=dies_ms,
        price=np.round(np.exp(price_level + 0.35 * quality + 0.3 * rng.normal(size=count)), 2).astype(np.float32),
        title=_titles(rng, category),
        tags=_nearest_tags(rng, vector),
        tag_names=different_words(rng, TAG_COUNT, 2),
    )


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """``[count, latent]`` float32 directions, spread evenly."""
    vectors = rng.normal(size=(count, LATENT_SIZE))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _lifetimes(rng: np.random.Generator, config: SyntheticConfig) -> tuple[np.ndarray, np.ndarray]:
    """When each item comes and goes, the oldest first.

    At least as many as a fifth of all items are old and never die, so that there is always enough to show.
    """
    count = config.item_count
    born_count = int(BORN_SHARE * count)
    age = rng.exponential(MEAN_AGE_DAYS * MS_PER_DAY, count - born_count)
    born = config.start_ms + rng.uniform(0, config.days * MS_PER_DAY, born_count)
    created_ms = np.sort(np.concatenate([config.start_ms - age, born])).astype(np.int64)
    life = MIN_LIFE_DAYS + rng.exponential(MEAN_LIFE_DAYS - MIN_LIFE_DAYS, count)
    dies_ms = np.maximum(created_ms, config.start_ms) + (life * MS_PER_DAY).astype(np.int64)
    dies_ms[rng.permutation(count - born_count)[: int(EVERGREEN_SHARE * count)]] = NEVER_MS
    return created_ms, dies_ms


def _titles(rng: np.random.Generator, category: np.ndarray) -> np.ndarray:
    brands = different_words(rng, len(CATEGORIES) * BRANDS_PER_CATEGORY, 2).reshape(len(CATEGORIES), -1)
    brand = brands[category, rng.integers(0, BRANDS_PER_CATEGORY, len(category))]
    return np.char.title(np.char.add(np.char.add(brand, " "), words(rng, len(category), 3)))


def _nearest_tags(rng: np.random.Generator, vector: np.ndarray) -> np.ndarray:
    """One to `MAX_TAGS` different tags an item, drawn by nearness."""
    tag_vector = unit_vectors(rng, TAG_COUNT)
    tags = np.empty((len(vector), MAX_TAGS), np.int64)
    for start in range(0, len(vector), 50_000):
        chunk = slice(start, start + 50_000)
        nearness = 6 * vector[chunk] @ tag_vector.T
        # The largest of scores with Gumbel noise are a draw without replacement from their softmax.
        noisy = nearness + rng.gumbel(size=nearness.shape)
        tags[chunk] = np.argsort(-noisy, axis=1, kind="stable")[:, :MAX_TAGS]
    tags[np.arange(MAX_TAGS) >= rng.integers(1, MAX_TAGS + 1, len(vector))[:, None]] = -1
    return tags
