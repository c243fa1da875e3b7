import json
import math

import numpy as np
import pytest

from components.evaluation.gate import (
    AbGuardrail,
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

NO_AB = "There is no A/B test of this candidate: judged on past data alone."
NO_PREVIOUS = "There is no release before this one to compare with."


def judge(
    rules: GateRules,
    candidate: dict[str, float],
    baselines: dict[str, dict[str, float]] | None = None,
    previous: dict[str, float] | None = None,
    now: dict[str, SliceMetrics] | None = None,
    before: dict[str, SliceMetrics] | None = None,
    ab: AbResult | None = None,
) -> Verdict:
    return decide(candidate, rules, baselines or {}, previous, candidate_slices=now or {}, previous_slices=before or {}, ab=ab)


def sentences(verdict: Verdict) -> list[str]:
    return [check.sentence for check in verdict.checks if check.sentence not in (NO_AB, NO_PREVIOUS)]


def reasons(verdict: Verdict) -> tuple[str, ...]:
    """Why not, if not."""
    return tuple(check.sentence for check in verdict.checks if not check.passed)


@pytest.mark.parametrize(
    ("auc", "passed", "sentence"),
    [
        (0.7, True, "auc 0.7000 is at least the wanted least of 0.6500."),
        (0.65, True, "auc 0.6500 is at least the wanted least of 0.6500."),
        (0.6, False, "auc 0.6000 is below the wanted least of 0.6500: not pushed."),
        (0.64999, False, "auc 0.64999 is below the wanted least of 0.65000: not pushed."),
        (math.nan, False, "The auc of the candidate is nan; wanted a finite number: not pushed."),
        (math.inf, False, "The auc of the candidate is inf; wanted a finite number: not pushed."),
    ],
)
def test_lower_bound(auc: float, passed: bool, sentence: str) -> None:
    verdict = judge(GateRules(bounds=(BoundRule("auc", lower=0.65),)), {"auc": auc})
    assert verdict.blessed is passed
    assert sentences(verdict) == [sentence]


def test_a_missing_metric_fails() -> None:
    verdict = judge(GateRules(bounds=(BoundRule("auc", lower=0.5),)), {})
    assert reasons(verdict) == ("The auc of the candidate is missing; wanted a finite number: not pushed.",)


@pytest.mark.parametrize(
    ("ndcg", "ratio", "passed", "sentence"),
    [
        (0.05, 1.0, True, "ndcg@10 0.0500 reaches the 0.0450 wanted against popular."),
        (0.0412, 1.0, False, "ndcg@10 0.0412 is below the 0.0450 wanted against popular: not pushed."),
        # 1.2 x 0.0450 = 0.0540
        (
            0.05,
            1.2,
            False,
            "ndcg@10 0.0500 is below the 0.0540 wanted against popular, which is 1.2 times its 0.0450: not pushed.",
        ),
        (0.0, 0.0, False, "ndcg@10 is 0.0000, so nothing that was wanted is found: not pushed."),
    ],
)
def test_baseline(ndcg: float, ratio: float, passed: bool, sentence: str) -> None:
    rules = GateRules(baselines=(BaselineRule("ndcg@10", "popular", ratio),))
    verdict = judge(rules, {"ndcg@10": ndcg}, {"popular": {"ndcg@10": 0.045}})
    assert verdict.blessed is passed
    assert sentences(verdict) == [sentence]


@pytest.mark.parametrize(
    ("baselines", "sentence"),
    [
        ({"random": {}}, "There is no baseline 'popular' to hold ndcg@10 against, only ['random']: not pushed."),
        (
            {"popular": {}},
            "The ndcg@10 of the baseline 'popular' is missing; wanted a finite number: not pushed.",
        ),
        (
            {"popular": {"ndcg@10": math.nan}},
            "The ndcg@10 of the baseline 'popular' is nan; wanted a finite number: not pushed.",
        ),
    ],
)
def test_a_baseline_that_was_not_measured_fails(baselines: dict[str, dict[str, float]], sentence: str) -> None:
    rules = GateRules(baselines=(BaselineRule("ndcg@10", "popular", 1.0),))
    assert reasons(judge(rules, {"ndcg@10": 0.1}, baselines)) == (sentence,)


@pytest.mark.parametrize(
    ("now", "passed", "sentence"),
    [
        (0.046, True, "ndcg@10 0.0460 is no worse than the last release's 0.0450."),
        # 2 % of 0.0450 is 0.0009: 0.0441 is the least that passes.
        (0.0441, True, "ndcg@10 0.0441 is below the last release's 0.0450, but within the allowed 2 %."),
        (
            0.0412,
            False,
            "ndcg@10 0.0412 is below the last release's 0.0450 by more than the allowed 2 %: not pushed.",
        ),
        (math.nan, False, "The ndcg@10 of the candidate is nan; wanted a finite number: not pushed."),
    ],
)
def test_previous_release(now: float, passed: bool, sentence: str) -> None:
    rules = GateRules(previous=(PreviousRule("ndcg@10", 0.02),))
    verdict = judge(rules, {"ndcg@10": now}, previous={"ndcg@10": 0.045})
    assert verdict.blessed is passed
    assert sentences(verdict) == [sentence]


def test_without_a_previous_release_there_is_a_note() -> None:
    verdict = judge(GateRules(previous=(PreviousRule("ndcg@10", 0.02),)), {"ndcg@10": 0.01})
    assert verdict.blessed
    assert [check.sentence for check in verdict.checks] == [NO_PREVIOUS, NO_AB]


def test_a_previous_release_without_the_metric_fails() -> None:
    verdict = judge(GateRules(previous=(PreviousRule("mrr@10", 0.02),)), {"mrr@10": 0.3}, previous={"auc": 0.7})
    assert reasons(verdict) == ("The mrr@10 of the last release is missing; wanted a finite number: not pushed.",)


def test_guardrail_slices() -> None:
    def figures(query_count: int, recall: float) -> SliceMetrics:
        return SliceMetrics(query_count, {"recall@10": recall})

    rules = GateRules(slices=(SliceRule("recall@10", 0.05, min_queries=100),))
    now = {
        "device=tv": figures(100, 0.18),
        "device=pc": figures(500, 0.3),
        "age=0": figures(99, 0.0),
        "new=1": figures(300, 0.1),
    }
    before = {"device=tv": figures(120, 0.2), "device=pc": figures(400, 0.31), "age=0": figures(80, 0.5)}
    verdict = judge(rules, {}, previous={}, now=now, before=before)
    # tv: 0.18 is under 0.95 x 0.2 = 0.19. pc: 0.3 is over 0.95 x 0.31 = 0.2945. age=0 is too small for both.
    assert sentences(verdict) == [
        "recall@10 for device=pc 0.3000 is below the last release's 0.3100, but within the allowed 5 %.",
        "recall@10 for device=tv 0.1800 is below the last release's 0.2000 by more than the allowed 5 %: not pushed.",
        "recall@10 for new=1 is not compared: 300 queries now and 0 for the last release, of the 100 wanted of both.",
    ]
    assert [check.name for check in verdict.checks if not check.passed] == ["slice:device=tv:recall@10"]


def test_a_slice_without_the_metric_fails() -> None:
    rules = GateRules(slices=(SliceRule("recall@10", 0.05, min_queries=1),))
    before = {"device=tv": SliceMetrics(5, {"recall@10": 0.2})}
    verdict = judge(rules, {}, previous={}, now={"device=tv": SliceMetrics(5, {})}, before=before)
    assert reasons(verdict) == ("The recall@10 for device=tv of the candidate is missing; wanted a finite number: not pushed.",)


@pytest.mark.parametrize(
    ("ab", "passed", "sentence"),
    [
        (
            AbResult("click_rate", 0.02, 0.01, 0.03),
            True,
            "The A/B test changes click_rate by +2.0 % (+1.0 % to +3.0 %): it does good.",
        ),
        (
            AbResult("click_rate", -0.01, -0.03, 0.01),
            True,
            "The A/B test changes click_rate by -1.0 % (-3.0 % to +1.0 %): it shows no clear difference.",
        ),
        (
            AbResult("click_rate", -0.02, -0.03, -0.01),
            False,
            "The A/B test changes click_rate by -2.0 % (-3.0 % to -1.0 %): it does harm: not pushed.",
        ),
        (
            AbResult("click_rate", math.nan, -0.03, 0.01),
            False,
            "The A/B test gives no finite lift and interval for click_rate: not pushed.",
        ),
        (
            AbResult("click_rate", 0.02, 0.01, 0.03, (AbGuardrail("latency", True),), sample_ratio_mismatch=True),
            False,
            "The A/B test's arms did not get their shares of users, so none of its figures can be trusted: not pushed.",
        ),
    ],
)
def test_ab_result(ab: AbResult, passed: bool, sentence: str) -> None:
    verdict = judge(GateRules(), {}, ab=ab)
    assert verdict.blessed is passed
    assert sentences(verdict) == [sentence]


def test_a_harmed_guardrail_blocks_a_good_test() -> None:
    guardrails = (AbGuardrail("latency", False), AbGuardrail("unsubscribes", True))
    verdict = judge(GateRules(), {}, ab=AbResult("click_rate", 0.02, 0.01, 0.03, guardrails))
    assert not verdict.blessed
    assert sentences(verdict)[1:] == [
        "The A/B test does not harm the guardrail latency.",
        "The A/B test harms the guardrail unsubscribes: not pushed.",
    ]


def test_a_verdict_is_plain_json() -> None:
    rules = GateRules((BoundRule("auc", lower=0.5),), (BaselineRule("auc", "popular", 1.0),))
    low, good = np.float64(-0.2), np.bool_(False)  # as they come out of an analysis in numpy
    ab = AbResult("click_rate", np.float64(-0.3), low, low, (AbGuardrail("latency", good),))  # type: ignore[arg-type]
    verdict = judge(rules, {"auc": np.float64(0.6)}, {"popular": {"auc": np.float64(0.5)}}, ab=ab)
    written = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert written["blessed"] is False
    assert written["checks"][0] == {
        "name": "lower:auc",
        "passed": True,
        "found": 0.6,
        "wanted": 0.5,
        "sentence": "auc 0.6000 is at least the wanted least of 0.5000.",
    }
