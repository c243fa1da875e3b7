"""Items that nobody had in training, told from each other.

In the whole catalogue a new item stands behind all that are known to be popular, and hardly any is found there, whatever is
known of it. Among themselves they are told apart by what models make of their features.
"""

from typing import Any

import numpy as np

from components.config import PipelineConfig
from components.evaluation import metrics
from components.evaluation.funnel import CHANCE, MIN_SLICE_QUERIES, SEED, Training, shown_means
from components.evaluation.queries import Queries
from components.funnel.offline import OfflineFunnel

MOST_QUERIES = 2_000


def judge_new_items(funnel: OfflineFunnel, queries: Queries, training: Training, config: PipelineConfig) -> dict[str, Any]:
    """What the funnel, recall alone and chance find of the wanted items that are new, of all new ones that were not seen.

    Popularity and item-to-item are not there: to them all new items are the same.

    Returns:
      ``query_count``, ``item_count`` and the ``metrics`` of each system; nothing where there are too few such moments.
    """
    new = np.flatnonzero(training.counts == 0).astype(np.int32)
    wanted = queries.wanted[:, 0]
    asked = np.flatnonzero((queries.wanted.shape[1] == 1) & (wanted >= 0) & (training.counts[wanted] == 0))
    if len(asked) < MIN_SLICE_QUERIES:
        return {}
    if len(asked) > MOST_QUERIES:
        asked = np.sort(np.random.default_rng(SEED).choice(asked, MOST_QUERIES, replace=False))
    ks = config.evaluation.k
    seen = queries.seen[asked]
    made = funnel.among(new).recommend([queries.examples[place] for place in asked], seen, max(ks))
    place = np.full(len(training.counts), -1, np.int32)
    place[new] = np.arange(len(new), dtype=np.int32)
    per_query = {
        "funnel": metrics.ranking_metrics(made.ranked, queries.wanted[asked], ks),
        "recall_only": metrics.ranking_metrics(made.recalled, queries.wanted[asked], ks),
        CHANCE: metrics.chance_metrics(place[queries.wanted[asked]], np.where(seen >= 0, place[seen], -1), len(new), ks),
    }
    return {
        "query_count": len(asked),
        "item_count": len(new),
        "metrics": {name: shown_means(values, ks) for name, values in per_query.items()},
    }
