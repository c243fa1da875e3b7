"""What can be set of re-ranking. A step whose key is not given is off."""

import difflib
from collections import Counter
from collections.abc import Collection
from typing import Literal, Self

from pydantic import Field, model_validator

from components.config import DatasetConfig, FeatureKind
from components.config.settings import Settings
from components.errors import ConfigError

NUMBERS = frozenset({FeatureKind.NUMBER})
VALUES = frozenset({FeatureKind.ID, FeatureKind.CATEGORICAL, FeatureKind.MULTI_VALUED})
WORDS = frozenset({FeatureKind.TEXT})


class Term(Settings):
    """One task's part in the combined score: ``weight · σ(a · logit(p) + b)``, of a regression ``weight · (a · v + b)``.

    ``a`` and ``b`` are those of Platt scaling (Platt 1999), fitted on held-out predictions; 1 and 0 change nothing.
    """

    weight: float
    a: float = Field(default=1.0, gt=0)
    b: float = 0.0


class Freshness(Settings):
    weight: float = Field(gt=0, description="added to the score of an item that has just come to be")
    half_life_days: float = Field(gt=0, description="the age at which half of it is added")


class Popularity(Settings):
    strength: float = Field(gt=0, description="times ln(1 + training events of the item), subtracted from the score")


class Diversity(Settings):
    method: Literal["mmr", "dpp"]
    relevance: float = Field(default=0.7, gt=0, lt=1, description="how much the score counts against being different")


class Cap(Settings):
    feature: str = Field(description="a categorical, multi_valued or id feature of the items")
    most: int = Field(ge=1, description="items of each of its values")
    top: int = Field(default=10, ge=1, le=100, description="among this many first places")


class Rule(Settings):
    """What an item must fulfil. An unknown value is within no bounds and is none of those allowed or denied."""

    feature: str
    at_least: float | None = None
    at_most: float | None = None
    allow: tuple[str, ...] | None = Field(default=None, min_length=1, description="it must have one of these values")
    deny: tuple[str, ...] | None = Field(default=None, min_length=1, description="it must have none of these values")

    @property
    def bounds(self) -> bool:
        return self.at_least is not None or self.at_most is not None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.bounds == (self.allow is not None or self.deny is not None):
            raise ValueError(f"a rule on {self.feature} wanted either at_least and at_most, or allow and deny")
        return self


class RerankSettings(Settings):
    combination: dict[str, Term] = Field(default={}, description="by task; without it, the ranker's own score")
    freshness: Freshness | None = None
    popularity: Popularity | None = None
    diversity: Diversity | None = None
    caps: tuple[Cap, ...] = ()
    pinned: dict[str, int] = Field(default={}, description="item id → its place, from 1")
    banned: frozenset[str] = Field(default=frozenset(), description="ids of items that are never shown")
    rules: tuple[Rule, ...] = Field(default=(), description="an item is shown only if it fulfils all of them")

    @model_validator(mode="after")
    def _pins_can_be_kept(self) -> Self:
        if banned := sorted(self.banned & set(self.pinned)):
            raise ValueError(f"{banned} are both pinned and banned")
        if low := sorted(item for item, place in self.pinned.items() if place < 1):
            raise ValueError(f"pinned: {low} have a place below 1")
        if shared := sorted(place for place, count in Counter(self.pinned.values()).items() if count > 1):
            raise ValueError(f"pinned: several items have the places {shared}; wanted one item a place")
        return self

    def check(self, dataset: DatasetConfig, key: str) -> None:
        """Whether a data set has the tasks and the item features that are named here, under ``key``.

        Raises:
          ConfigError: it lacks one, or a feature's kind does not fit.
        """
        for task in self.combination:
            _known(f"{key}.combination.{task}", "task", task, dataset.tasks)
        for place, cap in enumerate(self.caps):
            _check_feature(f"{key}.caps.{place}.feature", cap.feature, VALUES, dataset)
        for place, rule in enumerate(self.rules):
            _check_feature(f"{key}.rules.{place}.feature", rule.feature, NUMBERS if rule.bounds else VALUES | WORDS, dataset)


def _check_feature(key: str, name: str, kinds: Collection[FeatureKind], dataset: DatasetConfig) -> None:
    _known(key, "item feature", name, dataset.item_features)
    kind = dataset.item_features[name].kind
    if kind not in kinds:
        raise ConfigError(f"{key}: {name} is of kind {kind}; wanted a feature of kind {' or '.join(sorted(kinds))}")


def _known(key: str, what: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        advice = f"did you mean {close[0]}?" if close else f"it has: {', '.join(names) or 'none'}"
        raise ConfigError(f"{key}: the release has no {what} {name!r}; {advice}")
