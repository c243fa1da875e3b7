"""Judge the whole funnel on the test moments, beside what a user would have without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.config import PipelineConfig
from components.evaluation import baselines, metrics
from components.evaluation.gate import (
    AbResult,
    BaselineRule,
    BoundRule,
    GateRules,
    PreviousRule,
    SliceMetrics,
    SliceRule,
    Verdict,
    decide,
)
from components.evaluation.queries import Queries
from components.evaluation.slices import ITEM_INTERACTIONS, of_item_interactions, slice_queries
from components.item_to_item.neighbours import Neighbours
from components.schema.features import read_interactions

HEADLINE = "ndcg@10"
CHANCE = "random"
HISTORY_EDGES, ITEM_EDGES = (0, 1, 6, 21), (0, 1, 6)
MIN_SLICE_QUERIES = 50
HEAD_SHARE = 0.2
SLICE_TOLERANCE, SLICE_GUARD_QUERIES = 0.1, 500
SEED = 17


@dataclass(frozen=True)
class Training:
    """What the baselines learn from, and what novelty is measured by.

    Attributes:
      user: int64 [m]; item: int32 [m]; the positives of the training split.
      item_vectors: float32 [num_items, dim].
    """

    user: NDArray[np.int64]
    item: NDArray[np.int32]
    item_vectors: NDArray[np.float32]

    @classmethod
    def of(cls, features: Path, item_vectors: NDArray[np.float32]) -> Self:
        """From the folder of the feature snapshot."""
        interactions = read_interactions(features)
        user = interactions.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
        return cls(user, interactions.column("item_index").to_numpy(), item_vectors)

    @property
    def counts(self) -> NDArray[np.int64]:
        return baselines.popularity_counts(self.item, len(self.item_vectors))


def baseline_lists(
    queries: Queries, training: Training, neighbours: Neighbours, history: int, k: int
) -> dict[str, NDArray[np.int32]]:
    """Item-to-item from the ``history`` most recent items, popularity, chance: all without what the user had before."""
    counts, recent = training.counts, queries.history[:, :history]
    return {
        "item_to_item": baselines.recommend_item_to_item(neighbours, recent, queries.seen, counts, k),
        "popularity": baselines.recommend_popular(counts, queries.seen, k),
        CHANCE: baselines.recommend_random(len(counts), queries.seen, k, SEED),
    }


def ranking_means(ranked: NDArray[np.int32], queries: Queries, config: PipelineConfig) -> dict[str, float]:
    """The ranking metrics of one system's lists, as ``judge_systems`` has them."""
    per_query = metrics.ranking_metrics(ranked, queries.wanted, config.evaluation.k)
    return {metric: float(np.nanmean(values)) for metric, values in per_query.items()}


def judge_systems(lists: Mapping[str, NDArray[np.int32]], queries: Queries, training: Training, config: PipelineConfig) -> dict:
    """Metrics, intervals, differences and slices of each system; the first is the one on trial."""
    ks = config.evaluation.k
    counts = training.counts
    per_query = {
        name: metrics.chance_metrics(queries.wanted, queries.seen, len(counts), ks)  # of a few moments one draw says little
        if name == CHANCE
        else metrics.ranking_metrics(ranked, queries.wanted, ks)
        for name, ranked in lists.items()
    }
    trial = next(iter(lists))
    of_item = _by_item(queries.wanted, counts)
    edges = {"history": HISTORY_EDGES, ITEM_INTERACTIONS: ITEM_EDGES}
    columns = {**queries.columns, "history": (queries.history >= 0).sum(axis=1), **of_item}
    sliced = slice_queries(columns, {name: edges[name] for name in edges if name in columns}, MIN_SLICE_QUERIES)
    return {
        "query_count": len(queries.wanted),
        "k": list(ks),
        "metrics": {
            name: {
                **{metric: float(np.nanmean(values)) for metric, values in per_query[name].items()},
                **_list_metrics(ranked[:, :10], counts, training.item_vectors),
            }
            for name, ranked in lists.items()
        },
        "intervals": {
            name: {HEADLINE: _interval(metrics.bootstrap_interval(values[HEADLINE], SEED))}
            for name, values in per_query.items()
        },
        "differences": {
            name: _interval(metrics.paired_bootstrap(per_query[trial][HEADLINE], values[HEADLINE], SEED))
            for name, values in per_query.items()
            if name != trial
        },
        "slices": {
            label: {
                "query_count": int(mask.sum()),
                "metrics": {
                    name: shown_means({metric: each[mask] for metric, each in values.items()}, ks)
                    for name, values in per_query.items()
                },
            }
            for label, mask in sliced.masks.items()
        },
    }


def shown_means(per_query: Mapping[str, NDArray], ks: tuple[int, ...]) -> dict[str, float]:
    """Of all that is measured of some queries, what is shown of a group of them."""
    return {metric: float(np.nanmean(per_query[metric])) for metric in (HEADLINE, *(f"recall@{k}" for k in ks))}


def _by_item(wanted: NDArray[np.int32], counts: NDArray[np.int64]) -> dict[str, NDArray]:
    """Whether the item is among the most popular ones, and its training positives; nothing where several are wanted at once."""
    if wanted.shape[1] > 1:
        return {}
    item = wanted[:, 0]
    return {
        "item": np.where(np.isin(item, head_items(counts)), "head", "tail").astype(object),
        ITEM_INTERACTIONS: np.where(item >= 0, counts[item], 0),
    }


def head_items(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the most popular fifth of the catalogue."""
    return np.argsort(-counts, kind="stable")[: max(1, int(len(counts) * HEAD_SHARE))]


def _list_metrics(ranked: NDArray[np.int32], counts: NDArray[np.int64], vectors: NDArray[np.float32]) -> dict[str, float]:
    exposure = metrics.exposure_counts(ranked, len(counts))
    return {
        "coverage@10": metrics.coverage(exposure),
        "gini@10": metrics.gini(exposure),
        "novelty@10": float(np.nanmean(metrics.novelty(ranked, counts))),
        "diversity@10": float(np.nanmean(metrics.cosine_diversity(ranked, vectors))),
    }


def _interval(interval: metrics.Interval) -> dict[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def verdict_of(judged: dict, config: PipelineConfig, ab: AbResult | None) -> Verdict:
    """Whether the release may be published, with every reason."""
    settings = config.evaluation
    candidate = dict(judged["metrics"]["funnel"])
    candidate |= {f"auc of {task}": values["auc"] for task, values in judged["prediction"].items()}
    rules = GateRules(
        bounds=tuple(BoundRule(f"auc of {task}", lower=settings.min_auc) for task in judged["prediction"]),
        baselines=(BaselineRule(HEADLINE, "popularity", config.min_ratio_to_popularity),),
        previous=(PreviousRule(HEADLINE, 1 - settings.min_ratio_to_previous),),
        slices=(SliceRule(HEADLINE, SLICE_TOLERANCE, SLICE_GUARD_QUERIES),),
    )
    return decide(
        candidate,
        rules,
        {name: values for name, values in judged["metrics"].items() if name not in ("funnel", "last_release")},
        judged["metrics"].get("last_release"),
        candidate_slices=_slices(judged, "funnel"),
        previous_slices=_slices(judged, "last_release"),
        ab=ab,
    )


def _slices(judged: dict, system: str) -> dict[str, SliceMetrics]:
    """Those that a release is held by. Of new items hardly any is found: a tenth of that, more or less, is chance."""
    return {
        label: SliceMetrics(values["query_count"], values["metrics"][system])
        for label, values in judged["slices"].items()
        if system in values["metrics"] and not of_item_interactions(label)
    }
