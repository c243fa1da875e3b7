"""A simulator of people, things and a recommender that logs what it shows: any number of events, the truth known.

items, users → world (who would click on what) → traffic (when they come) → policy (what they are shown, with which
propensity) → behaviour (what they do) → simulate (block by block) → tables, generate (Parquet).
"""

from components.datasets.synthetic.config import SyntheticConfig
from components.datasets.synthetic.generate import generate
from components.datasets.synthetic.truth import true_click_probs, true_preferences
from components.datasets.synthetic.world import World, make_world, true_preference

__all__ = ["SyntheticConfig", "World", "generate", "make_world", "true_click_probs", "true_preference", "true_preferences"]
