"""What is popular among users like this one: the most specific group that has done enough to tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import FeatureColumn, FeatureKind

MAX_FEATURES = 3  # groups are made of the first ones; each more doubles their number
MIN_EVENTS = 1_000  # of a group; what fewer have done says little
MAX_GROUPS = 500  # of the same features: a smaller share of the events than one of these makes no group
PRIOR_EVENTS = 500.0
MAX_ITEMS = 1_000  # kept of each group

Group = tuple[tuple[str, str], ...]  # features with their values, in the order of the configuration
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Segments:
    """Attributes: features: those that groups are made of; rankings: of each group the rows of its best items, best first."""

    features: tuple[str, ...]
    rankings: Mapping[Group, Rows]

    @classmethod
    def of(
        cls,
        users: pa.Table,
        interactions: pa.Table,
        columns: Mapping[str, FeatureColumn],
        item_count: int,
        min_events: int = MIN_EVENTS,
    ) -> Self:
        """The groups of ``users`` by what they did.

        With c(i; g) the events of group g with item i, N_g those of the group, p(i) the share of all events: items are
        ordered by (c(i; g) + μ p(i)) / (N_g + μ), Dirichlet smoothing with μ = PRIOR_EVENTS (Zhai and Lafferty 2004, A
        Study of Smoothing Methods for Language Models Applied to Information Retrieval).

        Args:
          interactions: ``user_id``, ``item_index``.
          columns: the users' features.
          min_events: of a group.
        """
        features = tuple(name for name, column in columns.items() if column.kind is FeatureKind.CATEGORICAL)[:MAX_FEATURES]
        if not features or not interactions.num_rows:
            return cls(features, {})
        item = interactions.column("item_index").to_numpy()
        user = pc.index_in(interactions.column("user_id"), users.column("user_id").combine_chunks())
        user = pc.fill_null(user, -1).to_numpy()
        prior = PRIOR_EVENTS * np.bincount(item, minlength=item_count) / len(item)
        common = np.argpartition(-prior, min(MAX_ITEMS, item_count) - 1)[:MAX_ITEMS].astype(np.int32)
        least = max(min_events, -(-len(item) // MAX_GROUPS))
        rankings: dict[Group, Rows] = {}
        for size in range(1, len(features) + 1):
            for chosen in combinations(features, size):
                group_of_user, groups = _groups(users, chosen)
                group = np.where(user < 0, -1, group_of_user[user])
                counts = np.bincount(group[group >= 0], minlength=len(groups))
                big = np.flatnonzero(counts >= least)
                kept = np.isin(group, big)
                by_group = item[kept][np.argsort(group[kept].astype(np.min_scalar_type(len(groups))), kind="stable")]
                ends = np.cumsum(counts[big])
                for code, start, end in zip(big, ends - counts[big], ends, strict=True):
                    rankings[groups[code]] = _best(by_group[start:end], prior, common)
        return cls(features, rankings)

    def ranking(self, profile: Mapping[str, Any]) -> Rows:
        """int32 [m]; the best items of the user's group, none where nothing is known of the user."""
        known = [(name, profile[name]) for name in self.features if profile.get(name)]
        for size in range(len(known), 0, -1):
            for group in combinations(known, size):
                if (found := self.rankings.get(group)) is not None:
                    return found
        return np.zeros(0, np.int32)


def _best(item: NDArray[np.int32], prior: NDArray[np.float64], common: Rows) -> Rows:
    """The rows of the best items of a group, from its events: among those that it took, and the ``common`` ones of all."""
    took, counts = np.unique(item, return_counts=True)
    rows = np.concatenate([took, common[~np.isin(common, took, assume_unique=True)]])
    smoothed = prior[rows]
    smoothed[: len(took)] += counts
    best = np.argpartition(-smoothed, min(MAX_ITEMS, len(rows)) - 1)[:MAX_ITEMS]
    return rows[best[np.argsort(-smoothed[best], kind="stable")]].astype(np.int32)


def _groups(users: pa.Table, features: tuple[str, ...]) -> tuple[NDArray[np.int64], list[Group]]:
    """The group of each user, int64 [n], -1 where a feature is unknown, and the groups."""
    code = np.zeros(users.num_rows, np.int64)
    known = np.ones(users.num_rows, bool)
    for name in features:
        encoded = users.column(name).combine_chunks().dictionary_encode()
        value = pc.fill_null(encoded.indices, -1).to_numpy()
        known &= value >= 0
        code = code * (len(encoded.dictionary) + 1) + value + 1
    _, first, compact = np.unique(np.where(known, code, -1), return_index=True, return_inverse=True)
    examples = users.select(list(features)).take(pa.array(first)).to_pylist()
    groups = [tuple((name, example[name]) for name in features) for example in examples]
    return np.where(known, compact, -1), groups
