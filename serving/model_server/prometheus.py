"""The metrics as a page for Prometheus, set out as TensorFlow Serving's exporter does, to the leading colons of the names."""

import itertools
import re
from collections.abc import Iterator

from serving.model_server.metrics import Counter, Histogram, Metrics

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def prometheus_page(metrics: Metrics) -> str:
    """All metrics, by name; those without a value yet have their type line only."""
    lines: list[str] = []
    for metric in metrics.all():
        name = re.sub(r"[^a-zA-Z0-9_]", ":", metric.name)
        if isinstance(metric, Counter):
            lines.append(f"# TYPE {name} counter")
            for values, count in metric.cells().items():
                lines.append(f"{name}{{{_labels(metric.labels, values)}}} {count}")
        else:
            lines.append(f"# TYPE {name} histogram")
            for values, histogram in metric.cells().items():
                lines.extend(_histogram_lines(name, _labels(metric.labels, values), histogram))
    return "\n".join(lines) + "\n"


def _histogram_lines(name: str, labels: str, histogram: Histogram) -> Iterator[str]:
    limits = [*(f"{limit:g}" for limit in histogram.limits), "+Inf"]
    cumulative = list(itertools.accumulate(histogram.counts))
    before = f"{labels}," if labels else ""
    for limit, count in zip(limits, cumulative, strict=True):
        yield f'{name}_bucket{{{before}le="{limit}"}} {count}'
    yield f"{name}_sum{{{labels}}} {histogram.sum:g}"
    yield f"{name}_count{{{labels}}} {cumulative[-1]}"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    # A line end within a label would break the page; model names come from anyone's requests.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
