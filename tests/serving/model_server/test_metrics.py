"""What is counted, and the page that shows it, line by line."""

import pytest

from serving.model_server.metrics import Counter, Metrics, Sampler, exponential
from serving.model_server.prometheus import prometheus_page
from serving.model_server.status import invalid_argument


def lines_about(metrics: Metrics, name: str) -> list[str]:
    return [line for line in prometheus_page(metrics).splitlines() if name in line]


def test_counters_by_labels() -> None:
    counter = Counter("/c", ("a", "b"))
    counter.increment("x", "2")
    counter.increment("x", "1", by=3)
    counter.increment("x", "2")
    assert counter.cells() == {("x", "1"): 3, ("x", "2"): 2}


def test_a_value_on_a_limit_counts_above_it() -> None:
    sampler = Sampler("/s", (), exponential(10, 2, 3))  # limits 10, 20, 40
    for value in (9, 10, 39, 40, 1000):
        sampler.add(value)
    histogram = sampler.cells()[()]
    assert histogram.limits == (10, 20, 40)
    assert histogram.counts == [1, 1, 1, 2]
    assert histogram.sum == 1098


def test_a_page() -> None:
    metrics = Metrics()
    metrics.request_count.increment('a "b" \\', "OK", by=2)
    metrics.count_examples("m", 3)
    assert lines_about(metrics, "request_count") == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="a \\"b\\" \\\\",status="OK"} 2',
    ]
    name = ":tensorflow:serving:request_example_counts"
    # Three examples are above the limits 1 and 2; the limits go on doubling to 16,384.
    assert lines_about(metrics, "request_example_counts") == [
        f"# TYPE {name} histogram",
        f'{name}_bucket{{model="m",le="1"}} 0',
        f'{name}_bucket{{model="m",le="2"}} 0',
        *(f'{name}_bucket{{model="m",le="{2**power}"}} 1' for power in range(2, 15)),
        f'{name}_bucket{{model="m",le="+Inf"}} 1',
        f'{name}_sum{{model="m"}} 3',
        f'{name}_count{{model="m"}} 1',
    ]
    assert lines_about(metrics, "request_latency") == ["# TYPE :tensorflow:serving:request_latency histogram"]


def test_the_limits_of_latencies() -> None:
    metrics = Metrics()
    metrics.request_latency.add(33.0, "m", "Predict", "GRPC")
    name = ":tensorflow:serving:request_latency_bucket"
    labels = 'model_name="m",API="Predict",entrypoint="GRPC"'
    lines = lines_about(metrics, "request_latency_bucket")
    # 10, 18, 32.4, 58.32, 104.976, … thirty-three of them, six digits each, and one more for all beyond.
    assert lines[:5] == [
        f'{name}{{{labels},le="10"}} 0',
        f'{name}{{{labels},le="18"}} 0',
        f'{name}{{{labels},le="32.4"}} 0',
        f'{name}{{{labels},le="58.32"}} 1',
        f'{name}{{{labels},le="104.976"}} 1',
    ]
    assert len(lines) == 34
    assert lines[-1] == f'{name}{{{labels},le="+Inf"}} 1'


def test_requests_count_by_their_end() -> None:
    metrics = Metrics()
    with metrics.request("m", "Predict", "GRPC"):
        pass
    with pytest.raises(ValueError, match="broken"), metrics.request("m", "Predict", "GRPC"):
        raise ValueError("broken")
    with pytest.raises(Exception, match="wrong"), metrics.request("m", "Predict", "GRPC"):
        raise invalid_argument("wrong")
    assert metrics.request_count.cells() == {("m", "INTERNAL"): 1, ("m", "INVALID_ARGUMENT"): 1, ("m", "OK"): 1}
    # Only what went well is timed.
    assert sum(metrics.request_latency.cells()[("m", "Predict", "GRPC")].counts) == 1


def test_what_a_reload_is_told() -> None:
    metrics = Metrics()
    assert metrics.counter_value("/tensorflow/serving/request_count") == 0
    metrics.request_count.increment("m", "OK", by=4)
    assert metrics.counter_value("/tensorflow/serving/request_count") == 4
    metrics.count_examples("m", 1)
    assert metrics.counter_value("/tensorflow/serving/request_example_counts") == 0  # no counter
    assert metrics.counter_value("/absent") == 0


def test_ever_new_names_do_not_fill_the_memory() -> None:
    counter, sampler = Counter("/c", ("name",)), Sampler("/s", ("name",), (1.0,))
    for number in range(10_100):
        counter.increment(str(number))
        sampler.add(0.0, str(number))
    counter.increment("0")
    assert len(counter.cells()) == len(sampler.cells()) == 10_000
    assert counter.cells()[("0",)] == 2
