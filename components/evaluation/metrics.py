"""What a ranked list and a predicted probability are worth.

Every figure that a slice or an interval is made from is an array with one value a query. NaN stands for a query that
cannot tell (nothing relevant, nothing shown): it is left out of means. A query is one test moment:

  ranked: int32 [num_queries, list_length]; catalogue indices, best first, padded with -1.
  relevant: int32 [num_queries, max_relevant]; padded with -1. A relevant item outside the catalogue has to be given an
    index that no list can hold, not -1, or a miss would go uncounted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GATHERED_VALUES = 1 << 18  # values that the diversity holds at once: a chunk of queries fits the processor's cache
_RESAMPLES = 1_000
_LEAST_PROB = 1e-7  # the log loss of a confident error stays finite


@dataclass(frozen=True)
class Judged:
    """Lists held against what was relevant.

    Attributes:
      hits: bool [num_queries, list_length]; each relevant item is hit once at most, at its first place. Or float64, the
        probability of that: recall, precision and NDCG are then what is expected of them, the others are not.
      relevant_count: int64 [num_queries]; distinct relevant items.
    """

    hits: NDArray[np.bool_] | Floats
    relevant_count: NDArray[np.int64]

    def top(self, k: int) -> NDArray[np.bool_] | Floats:
        if not 1 <= k <= self.hits.shape[1]:
            raise ValueError(f"got k={k} for lists of {self.hits.shape[1]} places; wanted k from 1 to that length")
        return self.hits[:, :k]

    def found_count(self, k: int) -> Floats:
        return self.top(k).sum(axis=1, dtype=np.float64)

    def if_any_relevant(self, values: Floats) -> Floats:
        return np.where(self.relevant_count > 0, values, np.nan)


def judge(ranked: NDArray[np.int32], relevant: NDArray[np.int32]) -> Judged:
    """Mark the places that hold a relevant item; shapes as in the module's docstring."""
    if len(ranked) != len(relevant):
        raise ValueError(f"got {len(ranked)} ranked lists and {len(relevant)} rows of relevant items; wanted as many")
    relevant = _distinct(relevant)
    hits = np.zeros(ranked.shape, bool)
    if ranked.shape[1]:
        for column in range(relevant.shape[1]):
            rows = np.flatnonzero(relevant[:, column] >= 0)
            same = ranked[rows] == relevant[rows, column, None]
            place = same.argmax(axis=1)
            found = same[np.arange(len(rows)), place]
            hits[rows[found], place[found]] = True
    return Judged(hits, (relevant >= 0).sum(axis=1))


def _distinct(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each row's values once, and -1 for the others."""
    rows = np.sort(rows, axis=1)
    rows[:, 1:][rows[:, 1:] == rows[:, :-1]] = -1
    return rows


def recall(judged: Judged, k: int) -> Floats:
    """|relevant in the top k| / |relevant|, [num_queries] (Manning et al. 2008, section 8.4)."""
    return judged.if_any_relevant(judged.found_count(k) / np.maximum(judged.relevant_count, 1))


def precision(judged: Judged, k: int) -> Floats:
    """|relevant in the top k| / k, [num_queries]; a short list pays for its empty places (Manning et al. 2008)."""
    return judged.if_any_relevant(judged.found_count(k) / k)


def hit_rate(judged: Judged, k: int) -> Floats:
    """1 if the top k holds anything relevant, else 0, [num_queries] (Deshpande and Karypis 2004)."""
    return judged.if_any_relevant((judged.found_count(k) > 0).astype(np.float64))


def ndcg(judged: Judged, k: int) -> Floats:
    """DCG / ideal DCG, [num_queries], with DCG = sum over hits of 1 / log2(1 + place), places from 1.

    The ideal list holds min(|relevant|, k) hits first (Järvelin and Kekäläinen 2002, binary gain).
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.clip(judged.relevant_count, 1, k) - 1]
    gained: Floats = np.dot(judged.top(k), discount)
    return judged.if_any_relevant(gained / ideal)


def mrr(judged: Judged, k: int) -> Floats:
    """1 / place of the first hit in the top k, 0 without one, [num_queries] (Voorhees 1999)."""
    hits = judged.top(k)
    return judged.if_any_relevant(np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0))


RANKING_METRICS: Mapping[str, Callable[[Judged, int], Floats]] = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": mrr,
}


def ranking_metrics(ranked: NDArray[np.int32], relevant: NDArray[np.int32], ks: Sequence[int]) -> dict[str, Floats]:
    """Every ranking metric at every k: ``{"recall@10": float64 [num_queries], ...}``."""
    judged = judge(ranked, relevant)
    return {f"{name}@{k}": metric(judged, k) for k in ks for name, metric in RANKING_METRICS.items()}


def chance_metrics(
    relevant: NDArray[np.int32], seen: NDArray[np.int32], num_items: int, ks: Sequence[int]
) -> dict[str, Floats]:
    """What ``ranking_metrics`` come to on average over all orders of the items that a query has not seen.

    With m of the n unseen items relevant, each place holds one of them with probability m / n, and the first r places hold
    any of them with probability 1 - prod_{j <= r} (1 - m / (n - j + 1)).

    Args:
      relevant: as everywhere here; seen: int32 [num_queries, max_seen], padded with -1.
    """
    seen, relevant = _distinct(seen), _distinct(relevant)
    findable = (relevant >= 0) & (relevant < num_items)
    for column in range(relevant.shape[1]):
        findable[:, column] &= (relevant[:, column, None] != seen).all(axis=1)
    n, m = num_items - (seen >= 0).sum(axis=1, keepdims=True), findable.sum(axis=1, keepdims=True)
    place = np.arange(1, max(ks) + 1)
    judged = Judged(np.where(place <= n, m / np.maximum(n, 1), 0.0), (relevant >= 0).sum(axis=1))
    any_by = 1 - np.cumprod(np.maximum(1 - m / np.maximum(n - place + 1, 1), 0), axis=1)
    first_at = np.diff(any_by, prepend=0)
    found: dict[str, Floats] = {}
    for k in ks:
        found |= {f"{metric.__name__}@{k}": metric(judged, k) for metric in (recall, precision, ndcg)}
        found[f"hit_rate@{k}"] = judged.if_any_relevant(any_by[:, k - 1])
        found[f"mrr@{k}"] = judged.if_any_relevant(first_at[:, :k] @ (1 / place[:k]))
    return found


def exposure_counts(ranked: NDArray[np.int32], num_items: int) -> NDArray[np.int64]:
    """How many places each item fills, int64 [num_items]; the counts of shards add up to those of the whole."""
    shown = ranked[ranked >= 0]
    if shown.size and shown.max() >= num_items:
        raise ValueError(f"got item {shown.max()} in a list; wanted an index below the {num_items} items there are")
    return np.bincount(shown, minlength=num_items)


def coverage(exposure: NDArray[np.int64]) -> float:
    """Share of the catalogue that is shown at all (Ge et al. 2010); exposure: [num_items]."""
    return float((exposure > 0).mean()) if exposure.size else np.nan


def gini(exposure: NDArray[np.int64]) -> float:
    """Inequality of exposure: 0 if all items are shown alike, near 1 if one item takes every place.

    G = sum_i (2 i - n - 1) x_i / (n sum_i x_i) with exposures x ascending, i from 1 (Fleder and Hosanagar 2009).
    """
    total = int(exposure.sum())
    if total == 0:
        return np.nan
    n = len(exposure)
    return float(np.sort(exposure) @ (2.0 * np.arange(1, n + 1) - n - 1) / (n * total))


def novelty(ranked: NDArray[np.int32], training_counts: NDArray[np.int64]) -> Floats:
    """Mean self-information of the items shown, in bits, [num_queries] (Zhou et al. 2010).

    -log2 p(item), p = (count + 1) / (total + num_items): one more count each keeps an untrained item's finite.

    Args:
      training_counts: int64 [num_items].
    """
    bits = -np.log2((training_counts + 1) / (training_counts.sum() + len(training_counts)))
    count = (ranked >= 0).sum(axis=1)
    total = np.append(bits, 0.0)[ranked].sum(axis=1)  # padding, -1, points at the last, which adds nothing
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def cosine_diversity(ranked: NDArray[np.int32], item_vectors: NDArray[np.float32]) -> Floats:
    """1 - mean cosine over the pairs of a list, [num_queries]; NaN below two items (Smyth and McClave 2001).

    The cosines of all ordered pairs sum to |sum of unit vectors|^2 less each vector's own square, so no pair is formed.

    Args:
      item_vectors: float32 [num_items, dim]; a zero vector has cosine 0 with all.
    """
    length = np.linalg.norm(item_vectors, axis=1, keepdims=True)
    unit = np.divide(item_vectors, length, out=np.zeros_like(item_vectors), where=length > 0)
    unit = np.vstack([unit, np.zeros_like(unit[:1])])  # the row that padding, -1, points at
    own = np.einsum("id,id->i", unit, unit)
    cosines = np.zeros(len(ranked))
    rows = max(1, _GATHERED_VALUES // max(1, ranked.shape[1] * unit.shape[1]))
    for start in range(0, len(ranked), rows):
        chunk = ranked[start : start + rows]
        total = unit[chunk].sum(axis=1)
        cosines[start : start + rows] = np.einsum("qd,qd->q", total, total) - own[chunk].sum(axis=1)
    return 1 - _mean_of_pairs(cosines, ranked)


def _mean_of_pairs(ordered_pair_sums: Floats, ranked: NDArray[np.int32]) -> Floats:
    count = (ranked >= 0).sum(axis=1)
    return np.where(count > 1, ordered_pair_sums / np.maximum(count * (count - 1), 1), np.nan)


def log_loss(labels: NDArray, probs: NDArray) -> float:
    """Mean of -(y ln p + (1 - y) ln(1 - p)) (Good 1952); both [num_examples], labels 0 or 1."""
    _check_examples(labels, probs)
    if not len(labels):
        return np.nan
    clipped = np.clip(probs.astype(np.float64), _LEAST_PROB, 1 - _LEAST_PROB)
    return float(-np.log(np.where(labels > 0, clipped, 1 - clipped)).mean())


def auc(labels: NDArray, scores: NDArray) -> float:
    """Share of (positive, negative) pairs in the right order, a tie counting half (Hanley and McNeil 1982).

    Both [num_examples]; NaN without both classes or with a NaN score.
    """
    return grouped_auc(labels, scores, np.zeros(len(labels), np.int64))


def grouped_auc(labels: NDArray, scores: NDArray, groups: NDArray) -> float:
    """Each group's AUC, weighted by its examples: whether each user's samples are in order (GAUC; Zhu et al. 2017).

    GAUC = sum_g n_g AUC_g / sum_g n_g over the groups that hold both classes (Zhou et al. 2018, section 6.3).

    All [num_examples]; NaN where no group holds both classes or with a NaN score.

    Args:
      groups: what tells the groups apart, such as the users' ids.
    """
    _check_examples(labels, scores)
    if len(groups) != len(labels):
        raise ValueError(f"got {len(labels)} labels and the groups of {len(groups)}; wanted as many")
    _, group = np.unique(groups, return_inverse=True)
    order = np.lexsort((scores, group))
    score, label, group = scores[order], labels[order] > 0, group[order]
    if not label.any() or np.isnan(scores).any():
        return np.nan
    first_of_tie = np.flatnonzero(np.append(True, (score[1:] != score[:-1]) | (group[1:] != group[:-1])))
    positive, negative = (np.add.reduceat(kind, first_of_tie, dtype=np.int64) for kind in (label, ~label))
    group = group[first_of_tie]
    positives, negatives = np.bincount(group, positive), np.bincount(group, negative)
    below = np.cumsum(negative) - negative - (np.cumsum(negatives) - negatives)[group]
    in_order = np.bincount(group, positive * (below + negative / 2))
    both = (positives > 0) & (negatives > 0)
    if not both.any():
        return np.nan
    weight = (positives + negatives)[both]
    return float(weight @ (in_order[both] / (positives * negatives)[both]) / weight.sum())


@dataclass(frozen=True)
class ReliabilityCurve:
    """Predicted against observed, by bins of about equal count, ascending; all [num_bins]."""

    mean_prob: Floats
    observed_rate: Floats
    count: NDArray[np.int64]


def reliability_curve(labels: NDArray, probs: NDArray, max_bins: int = 20) -> ReliabilityCurve:
    """Equal-mass bins (Nguyen and O'Connor 2015); labels and probs [num_examples].

    Equal predictions share a bin, so the order of the examples makes no difference and there may be fewer bins.
    """
    _check_examples(labels, probs)
    order = np.argsort(probs, kind="stable")
    prob, label = probs[order].astype(np.float64), labels[order].astype(np.float64)
    first_of_tie = np.searchsorted(prob, prob)
    bins = first_of_tie * max_bins // max(1, len(prob))
    count = np.bincount(bins, minlength=max_bins)
    filled = count > 0
    mean_prob = np.bincount(bins, prob, max_bins)[filled] / count[filled]
    return ReliabilityCurve(mean_prob, np.bincount(bins, label, max_bins)[filled] / count[filled], count[filled])


def expected_calibration_error(curve: ReliabilityCurve) -> float:
    """sum_b count_b / n |mean prediction_b - observed rate_b| (Naeini et al. 2015)."""
    if not curve.count.size:
        return np.nan
    return float(np.abs(curve.mean_prob - curve.observed_rate) @ curve.count / curve.count.sum())


def _check_examples(labels: NDArray, predictions: NDArray) -> None:
    if len(labels) != len(predictions):
        raise ValueError(f"got {len(labels)} labels and {len(predictions)} predictions; wanted as many")
    other = labels[(labels != 0) & (labels != 1)]
    if other.size:
        raise ValueError(f"got a label of {other[0]}; wanted 0 or 1")


@dataclass(frozen=True)
class Interval:
    estimate: float
    low: float
    high: float


def bootstrap_interval(values: Floats, seed: int) -> Interval:
    """95 % percentile interval of the mean over queries drawn with replacement (Efron and Tibshirani 1993, section 13).

    Args:
      values: float64 [num_queries]; one metric, NaN left out.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Interval(np.nan, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    means = [defined[rng.integers(0, len(defined), len(defined))].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(defined.mean()), float(low), float(high))


def paired_bootstrap(candidate: Floats, other: Floats, seed: int) -> Interval:
    """95 % interval of mean(candidate - other) over the same queries (Koehn 2004); both [num_queries].

    Pairing takes away what queries have in common, so it sees differences that two separate intervals hide.
    """
    if candidate.shape != other.shape:
        raise ValueError(f"got {len(candidate)} and {len(other)} queries; wanted the same queries for both systems")
    return bootstrap_interval(candidate - other, seed)
