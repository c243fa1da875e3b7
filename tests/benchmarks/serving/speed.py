"""Latencies at a fixed rate, and the highest rate at which the slowest hundredth is still in time."""

import statistics
import time
from collections.abc import Iterator

import numpy as np

from tests.benchmarks.serving.load import Answer, answers_to, percentile_ms
from tests.benchmarks.serving.stack import Stack

RATE = 50
P99_MS = 50.0
STEP = 10
UNIT_OF_WORK = 500_000  # numbers to add up, for about as long as a request takes
MAX_FALLBACK_SHARE = 0.01  # a list that recall alone has ordered is quick, and not what is measured
Figure = tuple[str, float, str]


def speed(stack: Stack, seconds: float) -> Iterator[Figure]:
    """300 candidates ranked, 10 returned. Medians of three loads of ``seconds`` each, each with users of its own.

    At equal intervals first, as wrk2 or vegeta send them, then at random moments, where requests meet and wait for each other.
    """
    yield from _machine(seconds)
    answers_to(stack.traffic(RATE, min(seconds, 5.0), seed=99))  # warm
    for name, even in (("recommend", True), ("recommend_at_random", False)):
        loads = [answers_to(stack.traffic(RATE, seconds, seed=seed, even=even)) for seed in range(3)]
        yield f"{name}_p50_ms", statistics.median(percentile_ms(load, 50) for load in loads), "ms"
        yield f"{name}_p99_ms", statistics.median(percentile_ms(load, 99) for load in loads), "ms"
        yield f"{name}_fallback_share", statistics.median(_fallback_share(load) for load in loads), "1"
    yield "max_rate_at_p99_50ms", _max_rate(stack, seconds), "1/s"


def _machine(seconds: float) -> Iterator[Figure]:
    """How evenly the machine works while nothing else of ours does: the same few milliseconds of work, over and over.

    What others do on it, and what its hypervisor takes, no request can be spared.
    """
    times_ms, end_s = [], time.monotonic() + seconds
    while (started_s := time.monotonic()) < end_s:
        sum(range(UNIT_OF_WORK))
        times_ms.append((time.monotonic() - started_s) * 1000)
        time.sleep(max(0.0, 1 / RATE - times_ms[-1] / 1000))
    for percent in (50, 99):
        yield f"unit_of_work_p{percent}_ms", float(np.percentile(times_ms, percent)), "ms"


def _max_rate(stack: Stack, seconds: float) -> float:
    """Doubled while it can be kept, then halved into, to steps of ``STEP``; 0 where not even the least can be kept."""
    kept, lost = 0, STEP
    while _is_kept(stack, lost, seconds):
        kept, lost = lost, 2 * lost
    while lost - kept > STEP:
        middle = (kept + lost) // 2 // STEP * STEP
        kept, lost = (middle, lost) if _is_kept(stack, middle, seconds) else (kept, middle)
    return kept


def _is_kept(stack: Stack, rate: int, seconds: float) -> bool:
    """Whether at least two of three loads are in time, the third being sent where the first two differ.

    One load's slowest hundredth is a few requests: a single stall of the machine, which others share, would decide on a rate.
    """
    first, second = (_is_in_time(stack, rate, seconds, seed=3 * rate + number) for number in range(2))
    return first if first == second else _is_in_time(stack, rate, seconds, seed=3 * rate + 2)


def _is_in_time(stack: Stack, rate: int, seconds: float, seed: int) -> bool:
    answers = answers_to(stack.traffic(rate, seconds, seed=seed))
    good = all(answer.status == 200 and answer.items for answer in answers)
    return good and percentile_ms(answers, 99) < P99_MS and _fallback_share(answers) <= MAX_FALLBACK_SHARE


def _fallback_share(answers: list[Answer]) -> float:
    return sum(bool(answer.fallbacks) for answer in answers) / len(answers)
