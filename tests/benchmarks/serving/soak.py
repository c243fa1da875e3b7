"""An hour of traffic sent as fast as the gateway keeps up with: does memory grow, is anything lost?"""

import statistics
import time
from collections.abc import Iterator

from tests.benchmarks.serving.load import Load, percentile_ms
from tests.benchmarks.serving.stack import Stack

RATE = 40
EVENT_SHARE = 0.25
EVENTS_AT_ONCE = 10
WARM_UP = 0.25  # of the time; caches and allocators fill meanwhile
WINDOW = 0.15  # of the time; memory is compared between the first and the last window after the warm-up
SAMPLE_S = 0.5
Figure = tuple[str, float, str]


def soak(stack: Stack, seconds: float) -> Iterator[Figure]:
    """``seconds`` at ``RATE`` requests a second, a quarter of them ten events each.

    What is lost or doubled is told by the files that the log writer has written when all is over.
    """
    traffic = stack.traffic(RATE, seconds, event_share=EVENT_SHARE, events_at_once=EVENTS_AT_ONCE)
    samples: list[dict[str, float]] = []
    with Load(traffic) as load:
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            if elapsed > WARM_UP * seconds:
                samples.append(stack.rss_mib())
            time.sleep(SAMPLE_S)
        answers = load.answers()
    written = stack.wait_for_log(answers)
    yield "soak_requests", len(answers), "1"
    yield "soak_p99_ms", percentile_ms(answers, 99), "ms"
    yield "soak_not_200", sum(answer.status != 200 for answer in answers), "1"
    yield "soak_records", written.acknowledged, "1"
    yield "soak_records_lost", written.lost, "1"
    yield "soak_records_doubled", written.doubled, "1"
    window = max(1, round(len(samples) * WINDOW / (1 - WARM_UP)))
    for process in samples[0]:
        rss_mib = [sample[process] for sample in samples]
        first, last = statistics.median(rss_mib[:window]), statistics.median(rss_mib[-window:])
        yield f"soak_{process}_rss_mib", last, "MiB"
        yield f"soak_{process}_rss_growth", last / first - 1, "1"
