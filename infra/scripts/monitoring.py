"""Write what is made from the monitoring's sources: Grafana's dashboard, and the rules as Prometheus' operator wants them.

``make monitoring`` writes both; ``--check`` says whether they are what would be written.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).resolve().parents[1]
RULES = INFRA / "monitoring" / "rules.yaml"
DASHBOARD = INFRA / "monitoring" / "dashboard.json"
OPERATOR_RULES = INFRA / "k8s" / "components" / "prometheus-operator" / "rules.yaml"
LISTS = 'route="/v1/recommend"'
WIDTH, HEIGHT, COLUMNS = 8, 8, 3

# title, unit, then legend → query
PANELS: list[tuple[str, str, dict[str, str]]] = [
    ("Requests", "reqps", {"{{route}} {{code}}": "sum by (route, code) (rate(winnow_requests_total[5m]))"}),
    (
        "Time of a list",
        "s",
        {
            f"{share:.0%}": f"histogram_quantile({share}, sum by (le) (rate(winnow_request_seconds_bucket{{{LISTS}}}[5m])))"
            for share in (0.5, 0.9, 0.99)
        },
    ),
    (
        "Stages, 99 in 100",
        "s",
        {"{{stage}}": "histogram_quantile(0.99, sum by (le, stage) (rate(winnow_stage_seconds_bucket[5m])))"},
    ),
    (
        "Lists that did without",
        "percentunit",
        {"{{fallback}}": "sum by (fallback) (rate(winnow_fallbacks_total[5m])) / on () group_left () winnow:lists:rate5m"},
    ),
    (
        "Requests that failed",
        "percentunit",
        {"errors": 'sum(rate(winnow_requests_total{code=~"5.."}[5m])) / sum(rate(winnow_requests_total[5m]))'},
    ),
    (
        "Lists by arm of an experiment",
        "reqps",
        {"{{experiment}} {{arm}}": "sum by (experiment, arm) (rate(winnow_experiment_lists_total[5m]))"},
    ),
    ("Requests over the rate", "reqps", {"{{role}}": "sum by (role) (rate(winnow_rate_limited_total[5m]))"}),
    ("Shown items by source", "ops", {"{{source}}": "sum by (source) (rate(winnow_shown_items_total[5m]))"}),
    (
        "Mean score of what is shown",
        "none",
        {"an hour": "winnow:shown_score:mean1h", "seven days": "avg_over_time(winnow:shown_score:mean1h[7d])"},
    ),
    (
        "Delay of events",
        "s",
        {
            f"{share:.0%}": f"histogram_quantile({share}, sum by (le) (rate(winnow_event_delay_seconds_bucket[15m])))"
            for share in (0.5, 0.9)
        },
    ),
    (
        "Event stream",
        "none",
        {
            "taken a second": "sum(rate(winnow_event_stream_sent_total[5m]))",
            "waiting in files": "sum(winnow_event_stream_kept)",
            "lost an hour": "sum(increase(winnow_event_stream_lost_total[1h]))",
        },
    ),
    (
        "Stream tier",
        "none",
        {
            "lag, s": "max(winnow_stream_lag_seconds)",
            "files waiting": "max(winnow_stream_pending_files)",
            "{{outcome}} a second": "sum by (outcome) (rate(winnow_stream_events_total[15m]))",
            "time of a batch, s": "rate(winnow_stream_batch_seconds_sum[15m]) / rate(winnow_stream_batch_seconds_count[15m])",
        },
    ),
    ("Release", "none", {"{{instance}}": "winnow_release_version"}),
    ("Age of the release", "s", {"age": "time() - max(winnow_release_published_timestamp_seconds)"}),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something would be")
    check = parser.parse_args().check
    wanted = {DASHBOARD: json.dumps(dashboard(), indent=1) + "\n", OPERATOR_RULES: operator_rules()}
    changed = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    for path in changed:
        if check:
            print(f"{path.relative_to(INFRA.parent)} is not what its sources give: run `make monitoring`", file=sys.stderr)
        else:
            path.write_text(wanted[path])
    return 1 if check and changed else 0


def dashboard() -> dict[str, Any]:
    """In Grafana's JSON model."""
    source = {"type": "prometheus", "uid": "${source}"}
    panels = [
        {
            "id": number + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "gridPos": {
                "x": WIDTH * (number % COLUMNS), "y": HEIGHT * (number // COLUMNS), "w": WIDTH, "h": HEIGHT,
            },
            "targets": [
                {"refId": chr(ord("A") + place), "datasource": source, "expr": query, "legendFormat": legend}
                for place, (legend, query) in enumerate(queries.items())
            ],
        }
        for number, (title, unit, queries) in enumerate(PANELS)
    ]  # fmt: skip
    return {
        "uid": "winnow",
        "title": "winnow",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def operator_rules() -> str:
    rules = yaml.safe_load(RULES.read_text())
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "winnow", "labels": {"app.kubernetes.io/part-of": "winnow"}},
        "spec": rules,
    }
    head = "# Written by infra/scripts/monitoring.py from infra/monitoring/rules.yaml: change that, then `make monitoring`.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(main())
