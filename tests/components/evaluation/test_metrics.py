import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from components.evaluation import metrics
from components.evaluation.metrics import Judged

# Query 0: hits at places 1 and 3 of 4, one of its three relevant items is not in the list.
# Query 1: its one relevant item is last. Query 2: a miss. Query 3: nothing relevant. Query 4: an empty list.
RANKED = np.array([[5, 1, 7, 2], [0, 1, 2, 3], [4, 5, 6, -1], [1, 2, 3, 4], [-1, -1, -1, -1]], np.int32)
RELEVANT = np.array([[7, 9, 5], [3, -1, -1], [0, -1, -1], [-1, -1, -1], [2, -1, -1]], np.int32)


@pytest.fixture
def judged() -> Judged:
    return metrics.judge(RANKED, RELEVANT)


def random_lists(seed: int, num_queries: int = 300, k: int = 20, num_items: int = 60) -> np.ndarray:
    """Lists without repeats, some of them cut short."""
    rng = np.random.default_rng(seed)
    lists = rng.permuted(np.tile(np.arange(num_items, dtype=np.int32), (num_queries, 1)), axis=1)[:, :k]
    lists[np.arange(k) >= rng.integers(0, k + 1, (num_queries, 1))] = -1
    return lists


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (metrics.recall, 4, [2 / 3, 1, 0, np.nan, 0]),
        (metrics.recall, 2, [1 / 3, 0, 0, np.nan, 0]),
        (metrics.precision, 4, [2 / 4, 1 / 4, 0, np.nan, 0]),
        (metrics.hit_rate, 4, [1, 1, 0, np.nan, 0]),
        (metrics.hit_rate, 3, [1, 0, 0, np.nan, 0]),
        (metrics.mrr, 4, [1, 1 / 4, 0, np.nan, 0]),
        (metrics.mrr, 3, [1, 0, 0, np.nan, 0]),
    ],
)
def test_set_metrics(judged: Judged, metric: object, k: int, expected: list[float]) -> None:
    assert callable(metric)
    assert_allclose(metric(judged, k), expected)


def test_ndcg_by_hand(judged: Judged) -> None:
    # Discounts 1/log2(2) = 1, 1/log2(3) = 0.63093, 1/log2(4) = 0.5, 1/log2(5) = 0.43068.
    # Query 0: DCG = 1 + 0.5; ideal of three = 1 + 0.63093 + 0.5 = 2.13093; 1.5 / 2.13093 = 0.70392.
    # Query 1: 0.43068 / 1. At k = 2 the ideal of query 0 holds min(3, 2) = 2: 1 / 1.63093 = 0.61315.
    assert_allclose(metrics.ndcg(judged, 4), [0.70392, 0.43068, 0, np.nan, 0], atol=5e-6)
    assert_allclose(metrics.ndcg(judged, 2), [0.61315, 0, 0, np.nan, 0], atol=5e-6)


@pytest.mark.parametrize("name", ["recall", "precision", "hit_rate", "ndcg", "mrr"])
def test_a_perfect_ranking_is_worth_1(name: str) -> None:
    perfect = np.array([[4, 2, 9]], np.int32)
    assert metrics.RANKING_METRICS[name](metrics.judge(perfect, perfect[:, ::-1]), 3) == [1.0]


def test_repeats_count_once() -> None:
    # One relevant item named twice, and shown twice: one hit, at its first place, of one relevant item.
    judged = metrics.judge(np.array([[8, 3, 3]], np.int32), np.array([[3, 3, -1]], np.int32))
    assert_array_equal(judged.hits, [[False, True, False]])
    assert_array_equal(judged.relevant_count, [1])


def test_every_metric_at_every_k_agrees_with_sets() -> None:
    ranked, relevant = random_lists(1), random_lists(2, k=5)
    found = metrics.ranking_metrics(ranked, relevant, [1, 10, 20])
    assert len(found) == 15
    for query in range(len(ranked)):
        wanted = set(relevant[query]) - {-1}
        for k in (1, 10, 20):
            hits = set(ranked[query, :k]) & wanted
            recall = len(hits) / len(wanted) if wanted else math.nan
            assert found[f"recall@{k}"][query] == pytest.approx(recall, nan_ok=True)
            precision = len(hits) / k if wanted else math.nan
            assert found[f"precision@{k}"][query] == pytest.approx(precision, nan_ok=True)


@pytest.mark.parametrize(
    ("relevant", "seen"),
    [
        ([2], []),
        ([2, 4, 4], [0, 0]),  # what is listed twice counts once
        ([2, 4, 9], [1]),  # 9 is outside the catalogue
        ([2, 4], [4]),
        ([3], [3]),
        ([0, 1, 2, 3, 4, 5], []),
        ([5], [0, 1, 2, 3]),  # two are left, for lists of four
        ([5], [0, 1, 2, 3, 4, 5]),
        ([], [1]),
    ],
)
def test_chance_is_the_mean_over_all_orders_of_what_is_unseen(relevant: list[int], seen: list[int]) -> None:
    ks, num_items = (1, 3, 4), 6
    orders = list(itertools.permutations(sorted({*range(num_items)} - {*seen})))
    lists = np.array([[*order, *[-1] * num_items][: max(ks)] for order in orders], np.int32)
    wanted = np.array([[*relevant, -1]], np.int32)
    judged = metrics.ranking_metrics(lists, np.repeat(wanted, len(lists), axis=0), ks)
    # Beside a query of another kind, which must not disturb it.
    both = [np.pad(row, ((0, 1), (0, 7)), constant_values=-1) for row in (wanted, np.array([seen], np.int32).reshape(1, -1))]
    chance = metrics.chance_metrics(both[0], both[1], num_items, ks)
    assert chance.keys() == judged.keys()
    for name, values in judged.items():
        assert_allclose(chance[name], [values.mean(), np.nan], err_msg=name)


def test_no_queries_give_no_values() -> None:
    none = np.empty((0, 3), np.int32)
    assert all(len(values) == 0 for values in metrics.ranking_metrics(none, none, [3]).values())


def test_wrong_shapes_are_refused(judged: Judged) -> None:
    with pytest.raises(ValueError, match=r"got 5 ranked lists and 4 rows of relevant items; wanted as many"):
        metrics.judge(RANKED, RELEVANT[:4])
    with pytest.raises(ValueError, match=r"got k=5 for lists of 4 places; wanted k from 1 to that length"):
        metrics.recall(judged, 5)


def test_coverage_and_gini_by_hand() -> None:
    # Item 0 is shown 3 times, item 1 once, items 2 and 3 never: half the catalogue.
    # Ascending 0 0 1 3, weights 2i - n - 1 = -3 -1 1 3: (1 + 9) / (4 * 4) = 0.625.
    exposure = metrics.exposure_counts(np.array([[0, 1], [0, -1], [0, -1]], np.int32), 4)
    assert_array_equal(exposure, [3, 1, 0, 0])
    assert metrics.coverage(exposure) == 0.5
    assert metrics.gini(exposure) == 0.625
    assert metrics.gini(np.full(7, 5)) == pytest.approx(0)
    assert math.isnan(metrics.gini(np.zeros(3, np.int64)))


def test_exposures_of_shards_add_up() -> None:
    lists = random_lists(3)
    whole = metrics.exposure_counts(lists, 60)
    assert_array_equal(metrics.exposure_counts(lists[:90], 60) + metrics.exposure_counts(lists[90:], 60), whole)


def test_an_item_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got item 9 in a list; wanted an index below the 4 items there are"):
        metrics.exposure_counts(np.array([[9]], np.int32), 4)


def test_novelty_by_hand() -> None:
    # Counts 3, 0, 1 and one more each make 4, 1, 2 of 7: bits log2(7/4), log2(7), log2(7/2).
    found = metrics.novelty(np.array([[0, 1], [2, -1], [-1, -1]], np.int32), np.array([3, 0, 1]))
    assert_allclose(found, [(math.log2(7 / 4) + math.log2(7)) / 2, math.log2(7 / 2), np.nan])


def test_cosine_diversity_by_hand() -> None:
    # Items 0 and 1 point the same way, 2 is at a right angle to them, 3 opposes 0, 4 has no direction.
    vectors = np.array([[1, 0], [5, 0], [0, 2], [-3, 0], [0, 0]], np.float32)
    # (0,1,2): cosines 1, 0, 0: 1 - 1/3. (0,1): 0. (0,3): 1 - (-1) = 2. (0,4): cosine 0. One item: no pair.
    ranked = np.array([[0, 1, 2], [0, 1, -1], [0, 3, -1], [0, 4, -1], [2, -1, -1]], np.int32)
    assert_allclose(metrics.cosine_diversity(ranked, vectors), [2 / 3, 0, 2, 1, np.nan], atol=1e-6)


def test_diversity_does_not_depend_on_the_chunks() -> None:
    ranked = random_lists(5, num_queries=3000, k=30)
    vectors = np.random.default_rng(4).normal(size=(60, 40)).astype(np.float32)
    found, one = metrics.cosine_diversity(ranked, vectors), metrics.cosine_diversity(ranked[-1:], vectors)
    assert_allclose(found[-1:], one, rtol=1e-5)


def test_log_loss_by_hand() -> None:
    labels, probs = np.array([1, 0]), np.array([0.8, 0.4])
    assert metrics.log_loss(labels, probs) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_log_loss_of_a_confident_error_is_finite() -> None:
    assert metrics.log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-7))
    assert math.isnan(metrics.log_loss(np.array([]), np.array([])))
    assert math.isnan(metrics.log_loss(np.array([1]), np.array([np.nan])))


def pair_count_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    return float(((pairs > 0) + (pairs == 0) / 2).mean())


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_share_of_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 80), rng.integers(0, 9, 80) / 10  # nine scores: many ties
    assert metrics.auc(labels, scores) == pytest.approx(pair_count_auc(labels, scores))


def test_auc_by_hand() -> None:
    # The positive at 0.9 is above all three negatives, that at 0.5 above one, with a tie: (3 + 1.5) of 6 pairs.
    assert metrics.auc(np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.7, 0.5, 0.5, 0.1])) == 0.75


def test_auc_that_cannot_be_told_is_nan() -> None:
    assert math.isnan(metrics.auc(np.array([1, 1]), np.array([0.1, 0.2])))
    assert math.isnan(metrics.auc(np.array([1, 0]), np.array([np.nan, 0.2])))
    assert math.isnan(metrics.auc(np.array([]), np.array([])))


def test_grouped_auc_by_hand() -> None:
    # User a: 3 samples, the positive above one negative, with the other a tie: 0.75. User b: 2 samples, the wrong way round: 0.
    # User c has only negatives and is left out. (3 * 0.75 + 2 * 0) / 5 = 0.45; over all samples 2.5 of 10 pairs.
    users = np.array(["a", "b", "c", "a", "b", "a", "c"])
    labels = np.array([1, 1, 0, 0, 0, 0, 0])
    scores = np.array([0.5, 0.1, 0.9, 0.5, 0.8, 0.2, 0.3])
    assert metrics.grouped_auc(labels, scores, users) == pytest.approx(0.45)
    assert metrics.auc(labels, scores) == pytest.approx((0.5 + 1 + 1) / 10)


@pytest.mark.parametrize("seed", range(5))
def test_grouped_auc_is_the_weighted_mean_of_the_groups_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores, groups = rng.integers(0, 2, 200), rng.integers(0, 5, 200) / 10, rng.integers(0, 40, 200)
    each = {group: (groups == group) for group in groups}
    told = {group: mask for group, mask in each.items() if 0 < labels[mask].sum() < mask.sum()}
    assert len(told) < len(each)
    aucs = [pair_count_auc(labels[mask], scores[mask]) for mask in told.values()]
    wanted = np.average(aucs, weights=[mask.sum() for mask in told.values()])
    assert metrics.grouped_auc(labels, scores, groups) == pytest.approx(wanted)


def test_grouped_auc_that_cannot_be_told_is_nan() -> None:
    assert math.isnan(metrics.grouped_auc(np.array([1, 0]), np.array([0.1, 0.2]), np.array(["a", "b"])))
    assert math.isnan(metrics.grouped_auc(np.array([1, 0]), np.array([np.nan, 0.2]), np.array(["a", "a"])))
    with pytest.raises(ValueError, match=r"got 2 labels and the groups of 1; wanted as many"):
        metrics.grouped_auc(np.array([1, 0]), np.array([0.1, 0.2]), np.array(["a"]))


def test_labels_and_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match=r"got a label of -1; wanted 0 or 1"):
        metrics.auc(np.array([1, -1]), np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match=r"got 2 labels and 1 predictions; wanted as many"):
        metrics.log_loss(np.array([1, 0]), np.array([0.1]))


def test_calibration_by_hand() -> None:
    # Two bins of two: predictions 0.1 and 0.2 (mean 0.15) with none observed, 0.6 and 0.8 (mean 0.7) with one of two.
    # ECE = 1/2 * 0.15 + 1/2 * 0.2 = 0.175.
    curve = metrics.reliability_curve(np.array([0, 1, 0, 0]), np.array([0.8, 0.6, 0.1, 0.2]), max_bins=2)
    assert_allclose(curve.mean_prob, [0.15, 0.7])
    assert_allclose(curve.observed_rate, [0, 0.5])
    assert_array_equal(curve.count, [2, 2])
    assert metrics.expected_calibration_error(curve) == pytest.approx(0.175)


def test_equal_predictions_share_a_bin_in_any_order() -> None:
    labels, probs = np.array([0, 1, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5, 0.9])
    curve = metrics.reliability_curve(labels, probs, max_bins=4)
    assert_array_equal(curve.count, [4, 1])
    flipped = metrics.reliability_curve(labels[::-1], probs[::-1], max_bins=4)
    assert_array_equal(curve.observed_rate, flipped.observed_rate)
    assert metrics.expected_calibration_error(curve) == pytest.approx((0 * 4 + 0.1 * 1) / 5)


def test_calibration_of_nothing_is_nan() -> None:
    assert math.isnan(metrics.expected_calibration_error(metrics.reliability_curve(np.array([]), np.array([]))))


def test_bootstrap_is_close_to_the_normal_interval() -> None:
    # Standard error of the mean of 10,000 values of standard deviation 1 is 0.01; 95 % is 1.96 of it either side.
    values = np.random.default_rng(7).normal(size=10_000)
    found = metrics.bootstrap_interval(values, seed=1)
    assert found.estimate == pytest.approx(values.mean())
    assert_allclose([found.low, found.high], values.mean() + np.array([-1.96, 1.96]) * 0.01, atol=0.002)
    assert found == metrics.bootstrap_interval(values, seed=1)


def test_bootstrap_leaves_out_what_is_not_defined() -> None:
    assert metrics.bootstrap_interval(np.array([np.nan, 2, np.nan, 2]), seed=1) == metrics.Interval(2, 2, 2)
    assert math.isnan(metrics.bootstrap_interval(np.array([np.nan]), seed=1).low)


def test_pairing_sees_a_difference_that_separate_intervals_hide() -> None:
    # Queries differ by 1, the systems by 0.01 on every query alike.
    other = np.random.default_rng(8).normal(size=400)
    candidate = other + 0.01
    difference = metrics.paired_bootstrap(candidate, other, seed=2)
    assert_allclose([difference.low, difference.estimate, difference.high], 0.01)
    assert metrics.bootstrap_interval(candidate, 2).low < metrics.bootstrap_interval(other, 2).high
    with pytest.raises(ValueError, match=r"got 400 and 3 queries; wanted the same queries for both systems"):
        metrics.paired_bootstrap(candidate, other[:3], seed=2)
