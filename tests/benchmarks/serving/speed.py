"""Latencies at a fixed rate, and the highest rate at which the slowest hundredth is still in time."""

import statistics
from collections.abc import Iterator

from tests.benchmarks.serving.load import Answer, answers_to, percentile_ms
from tests.benchmarks.serving.stack import Stack

RATE = 50
P99_MS = 50.0
STEP = 10
MAX_FALLBACK_SHARE = 0.01  # a list that recall alone has ordered is quick, and not what is measured
Figure = tuple[str, float, str]


def speed(stack: Stack, seconds: float) -> Iterator[Figure]:
    """300 candidates ranked, 10 returned. Medians of three loads of ``seconds`` each, each with users of its own.

    At equal intervals first, as wrk2 or vegeta send them, then at random moments, where requests meet and wait for each other.
    """
    answers_to(stack.traffic(RATE, min(seconds, 5.0), seed=99))  # warm
    for name, even in (("recommend", True), ("recommend_at_random", False)):
        loads = [answers_to(stack.traffic(RATE, seconds, seed=seed, even=even)) for seed in range(3)]
        yield f"{name}_p50_ms", statistics.median(percentile_ms(load, 50) for load in loads), "ms"
        yield f"{name}_p99_ms", statistics.median(percentile_ms(load, 99) for load in loads), "ms"
        yield f"{name}_fallback_share", statistics.median(_fallback_share(load) for load in loads), "1"
    yield "max_rate_at_p99_50ms", _max_rate(stack, seconds), "1/s"


def _max_rate(stack: Stack, seconds: float) -> float:
    """Doubled while it can be kept, then halved into, to steps of ``STEP``; 0 where not even the least can be kept."""
    kept, lost = 0, STEP
    while _is_kept(stack, lost, seconds):
        kept, lost = lost, 2 * lost
    while lost - kept > STEP:
        middle = (kept + lost) // 2 // STEP * STEP
        kept, lost = (middle, lost) if _is_kept(stack, middle, seconds) else (kept, middle)
    return kept


def _is_kept(stack: Stack, rate: float, seconds: float) -> bool:
    answers = answers_to(stack.traffic(rate, seconds, seed=int(rate)))
    good = all(answer.status == 200 and answer.items for answer in answers)
    return good and percentile_ms(answers, 99) < P99_MS and _fallback_share(answers) <= MAX_FALLBACK_SHARE


def _fallback_share(answers: list[Answer]) -> float:
    return sum(bool(answer.fallbacks) for answer in answers) / len(answers)
