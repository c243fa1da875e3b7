"""One verdict with its reasons: is this candidate good enough to be pushed?

Every rule gives a check, passed or failed, with a sentence for people. A figure that is missing or not finite fails its
check: what was not measured is not blessed. What cannot be compared yet (no release before this one, no A/B test) is
noted in a check that passes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BoundRule:
    """The metric has to reach an absolute bound."""

    metric: str
    lower: float


@dataclass(frozen=True)
class BaselineRule:
    """The metric, one that is better when higher, has to reach ``min_ratio`` times the baseline's, and be above 0."""

    metric: str
    baseline: str
    min_ratio: float


@dataclass(frozen=True)
class PreviousRule:
    """The metric, one that is better when higher, must not fall below the last release's by more than this share of it."""

    metric: str
    tolerance: float


@dataclass(frozen=True)
class SliceRule:
    """As ``PreviousRule``, in every slice that has at least ``min_queries`` queries for both."""

    metric: str
    tolerance: float
    min_queries: int


@dataclass(frozen=True)
class GateRules:
    bounds: tuple[BoundRule, ...] = ()
    baselines: tuple[BaselineRule, ...] = ()
    previous: tuple[PreviousRule, ...] = ()
    slices: tuple[SliceRule, ...] = ()


@dataclass(frozen=True)
class SliceMetrics:
    query_count: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class AbGuardrail:
    name: str
    harmed: bool


@dataclass(frozen=True)
class AbResult:
    """What an online test said of the candidate against the last release.

    Attributes:
      lift, low, high: relative change of the metric and its confidence interval; 0.02 is 2 % better, below 0 is worse.
      sample_ratio_mismatch: the arms did not get the shares of users they should have, so the figures mean nothing.
    """

    metric: str
    lift: float
    low: float
    high: float
    guardrails: tuple[AbGuardrail, ...] = ()
    sample_ratio_mismatch: bool = False


@dataclass(frozen=True)
class Check:
    """One rule applied.

    Attributes:
      found, wanted: the figure and the bound it was held against; None where there is none.
    """

    name: str
    passed: bool
    found: float | None
    wanted: float | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    blessed: bool
    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"blessed": self.blessed, "checks": [asdict(check) for check in self.checks]}


def decide(
    candidate: Mapping[str, float],
    rules: GateRules,
    baselines: Mapping[str, Mapping[str, float]],
    previous: Mapping[str, float] | None,
    *,
    candidate_slices: Mapping[str, SliceMetrics],
    previous_slices: Mapping[str, SliceMetrics],
    ab: AbResult | None = None,
) -> Verdict:
    """Apply every rule; blessed if every check passes.

    Args:
      candidate: each metric of the system to be judged.
      baselines: of each baseline, its metrics on the same queries.
      previous: the last blessed release's metrics; on the same queries if it was run again, else as recorded. None if
        there is no such release.
      candidate_slices, previous_slices: by the name of the slice; empty if there are none.
    """
    checks: list[Check] = []
    checks += [_check_bound(candidate, bound) for bound in rules.bounds]
    checks += [_check_baseline(candidate, baselines, rule) for rule in rules.baselines]
    if previous is None:
        checks.append(_noted("previous", "There is no release before this one to compare with."))
    else:
        for rule in rules.previous:
            checks.append(_compare(f"previous:{rule.metric}", rule.metric, "", candidate, previous, rule))
        for slice_rule in rules.slices:
            checks += _check_slices(candidate_slices, previous_slices, slice_rule)
    checks += _check_ab(ab)
    return Verdict(all(check.passed for check in checks), tuple(checks))


def _check_bound(candidate: Mapping[str, float], rule: BoundRule) -> Check:
    name, found = f"lower:{rule.metric}", _finite(candidate, rule.metric)
    if found is None:
        return _unmeasured(name, rule.metric, "the candidate", candidate, rule.metric)
    passed = _reaches(found, rule.lower)
    relation = "at least" if passed else "below"
    shown, limit = _shown(found, rule.lower)
    return _check(name, passed, found, rule.lower, f"{rule.metric} {shown} is {relation} the wanted least of {limit}")


def _check_baseline(candidate: Mapping[str, float], baselines: Mapping[str, Mapping[str, float]], rule: BaselineRule) -> Check:
    name = f"baseline:{rule.baseline}:{rule.metric}"
    found = _finite(candidate, rule.metric)
    if found is None:
        return _unmeasured(name, rule.metric, "the candidate", candidate, rule.metric)
    if rule.baseline not in baselines:
        reason = f"There is no baseline {rule.baseline!r} to hold {rule.metric} against, only {sorted(baselines)}"
        return _check(name, False, found, None, reason)
    reference = _finite(baselines[rule.baseline], rule.metric)
    if reference is None:
        whose = f"the baseline {rule.baseline!r}"
        return _unmeasured(name, rule.metric, whose, baselines[rule.baseline], rule.metric, found)
    wanted = rule.min_ratio * reference
    if found <= 0:  # a baseline of 0 would let through a system that finds nothing at all
        return _check(name, False, found, wanted, f"{rule.metric} is {found:.4f}, so nothing that was wanted is found")
    passed = _reaches(found, wanted)
    shown, limit = _shown(found, wanted)
    relation = "reaches" if passed else "is below"
    times = "" if rule.min_ratio == 1 else f", which is {rule.min_ratio:g} times its {reference:.4f}"
    statement = f"{rule.metric} {shown} {relation} the {limit} wanted against {rule.baseline}{times}"
    return _check(name, passed, found, wanted, statement)


def _check_slices(
    candidate: Mapping[str, SliceMetrics], previous: Mapping[str, SliceMetrics], rule: SliceRule
) -> Iterator[Check]:
    for name in sorted(candidate.keys() | previous.keys()):
        check = f"slice:{name}:{rule.metric}"
        counts = [side[name].query_count if name in side else 0 for side in (candidate, previous)]
        if min(counts) >= rule.min_queries:
            where = f" for {name}"
            yield _compare(check, rule.metric, where, candidate[name].metrics, previous[name].metrics, rule)
        elif max(counts) >= rule.min_queries:
            yield _noted(
                check,
                f"{rule.metric} for {name} is not compared: {counts[0]} queries now and {counts[1]} for the last "
                f"release, of the {rule.min_queries} wanted of both.",
            )


def _compare(
    name: str,
    metric: str,
    where: str,
    candidate: Mapping[str, float],
    previous: Mapping[str, float],
    rule: PreviousRule | SliceRule,
) -> Check:
    found, before = _finite(candidate, metric), _finite(previous, metric)
    if found is None:
        return _unmeasured(name, f"{metric}{where}", "the candidate", candidate, metric)
    if before is None:
        return _unmeasured(name, f"{metric}{where}", "the last release", previous, metric, found)
    wanted = before - abs(before) * rule.tolerance
    passed = _reaches(found, wanted)
    shown, reference = _shown(found, before)
    allowed = f"the allowed {100 * rule.tolerance:g} %"
    if not passed:
        relation = f"below the last release's {reference} by more than {allowed}"
    elif found >= before:
        relation = f"no worse than the last release's {reference}"
    else:
        relation = f"below the last release's {reference}, but within {allowed}"
    return _check(name, passed, found, wanted, f"{metric}{where} {shown} is {relation}")


def _check_ab(ab: AbResult | None) -> Iterator[Check]:
    if ab is None:
        yield _noted("ab", "There is no A/B test of this candidate: judged on past data alone.")
        return
    if ab.sample_ratio_mismatch:
        reason = "The A/B test's arms did not get their shares of users, so none of its figures can be trusted"
        yield _check("ab:sample_ratio", False, None, None, reason)
        return
    name = f"ab:{ab.metric}"
    if not all(math.isfinite(value) for value in (ab.lift, ab.low, ab.high)):
        reason = f"The A/B test gives no finite lift and interval for {ab.metric}"
        yield _check(name, False, None, 0.0, reason)
    else:
        says = "does harm" if ab.high < 0 else "does good" if ab.low > 0 else "shows no clear difference"
        figures = f"{ab.metric} by {_percent(ab.lift)} ({_percent(ab.low)} to {_percent(ab.high)})"
        yield _check(name, ab.high >= 0, float(ab.lift), 0.0, f"The A/B test changes {figures}: it {says}")
    for guardrail in ab.guardrails:
        says = "harms" if guardrail.harmed else "does not harm"
        reason = f"The A/B test {says} the guardrail {guardrail.name}"
        yield _check(f"ab:guardrail:{guardrail.name}", not guardrail.harmed, None, None, reason)


def _check(name: str, passed: bool, found: float | None, wanted: float | None, statement: str) -> Check:
    statement = statement if passed else f"{statement}: not pushed"
    return Check(name, bool(passed), found, wanted, f"{statement}.")


def _noted(name: str, sentence: str) -> Check:
    return Check(name, True, None, None, sentence)


def _unmeasured(
    name: str, what: str, whose: str, metrics: Mapping[str, float], metric: str, found: float | None = None
) -> Check:
    """Fails, and tells a figure that is missing from one that is not a number."""
    how = f"is {metrics[metric]}" if metrics.get(metric) is not None else "is missing"
    return _check(name, False, found, None, f"The {what} of {whose} {how}; wanted a finite number")


def _finite(metrics: Mapping[str, float], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else None


def _reaches(found: float, wanted: float) -> bool:
    """At least ``wanted``, where a bound that was computed may be off by rounding."""
    return found >= wanted or math.isclose(found, wanted, rel_tol=1e-9)


def _shown(one: float, other: float) -> tuple[str, str]:
    """Both with as many decimals, from 4, as it takes to tell them apart."""
    digits = next((n for n in range(4, 12) if one == other or f"{one:.{n}f}" != f"{other:.{n}f}"), 12)
    return f"{one:.{digits}f}", f"{other:.{digits}f}"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"
