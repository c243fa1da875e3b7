"""Scores: every number worked out by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.config import TaskConfig
from components.schema.events import MS_PER_DAY
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.scores import combination, freshness, popularity
from serving.gateway.rerank.settings import Freshness, Popularity, Term

NOW_MS = 1_000 * MS_PER_DAY


@pytest.fixture
def context() -> Context:
    release: Any = SimpleNamespace(
        created_ms=np.array([1_000, 993, 986, 1_001]) * MS_PER_DAY,
        event_counts=np.array([0, 1, 99, 7]),
        config=SimpleNamespace(
            dataset=SimpleNamespace(tasks={"click": TaskConfig(event="click"), "dwell": TaskConfig(kind="regression")})
        ),
    )
    return Context(release, NOW_MS, 4)


def ranked(*score: float, **tasks: list[float]) -> Ranked:
    predictions = {name: np.array(values, np.float32) for name, values in tasks.items()}
    return Ranked.by_score(np.arange(len(score), dtype=np.int32), np.array(score), predictions)


def test_by_score_sorts_and_keeps_equals_in_order() -> None:
    assert ranked(1.0, 3.0, 1.0, 2.0).rows.tolist() == [1, 3, 0, 2]


def test_the_order_of_recall_has_falling_scores() -> None:
    by_recall = Ranked.by_recall(np.array([7, 5, 9], np.int32))
    assert by_recall.rows.tolist() == [7, 5, 9]
    assert by_recall.score.tolist() == pytest.approx([0, -0.6931472, -1.0986123])  # -ln 1, -ln 2, -ln 3


def test_combination_weighs_calibrated_predictions(context: Context) -> None:
    """Of p = 0.5 the logit is 0, of p = 0.8 it is ln 4 = 1.386.

    a = 2, b = 0: σ(0) = 0.5 and σ(2 ln 4) = 16 / 17. Dwell 10 and 4, times 0.5 + 1: 6 and 3; weighted with 0.1.
    """
    before = ranked(9.0, 1.0, click=[0.5, 0.8], dwell=[10, 4])
    terms = {"click": Term(weight=2, a=2), "dwell": Term(weight=0.1, a=0.5, b=1)}
    after = combination(before, context, terms)
    assert after.rows.tolist() == [1, 0]
    assert after.score.tolist() == pytest.approx([2 * 16 / 17 + 0.3, 1.0 + 0.6])
    assert after.tasks["dwell"].tolist() == [4, 10]
    assert after.reason(0) == "2 × click 0.5 + 0.1 × dwell 6"


def test_a_shift_by_b(context: Context) -> None:
    """σ(ln 4 + ln 0.25) = σ(0) = 0.5."""
    after = combination(ranked(0.0, click=[0.8]), context, {"click": Term(weight=1, b=float(np.log(0.25)))})
    assert after.score.tolist() == pytest.approx([0.5])


def test_probabilities_of_0_and_1_stay_finite(context: Context) -> None:
    after = combination(ranked(0.0, 0.0, click=[0, 1]), context, {"click": Term(weight=1, a=3)})
    assert after.rows.tolist() == [1, 0]
    assert np.isfinite(after.score).all()


def test_freshness_halves_with_the_half_life(context: Context) -> None:
    """Ages 0, 7, 14 and -1 days, half-life 7: boosts 2, 1, 0.5 and, of what is still to come, 2."""
    after = freshness(ranked(0.0, 0.9, 1.8, -1.0), context, Freshness(weight=2, half_life_days=7))
    assert after.rows.tolist() == [2, 0, 1, 3]
    assert after.score.tolist() == pytest.approx([2.3, 2.0, 1.9, 1.0])
    assert after.reason(1) == "7.0 days old: +1"


def test_popularity_damps_by_the_logarithm(context: Context) -> None:
    """ln 1 = 0, ln 2 = 0.693, ln 100 = 4.605, ln 8 = 2.079; times 0.5."""
    after = popularity(ranked(0.0, 0.1, 2.0, 1.5), context, Popularity(strength=0.5))
    assert after.rows.tolist() == [3, 0, 1, 2]
    assert after.score.tolist() == pytest.approx([0.4602792, 0, -0.2465736, -0.3025851])
    assert after.reason(0) == "99 events: -2.3"  # the first of the list before
