"""Alerts and dashboard: what they ask for is measured, and the rules do what they say."""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from components.schema.trends import FORMAT, Manifest
from pipelines.nearline_metrics import StreamMetrics
from serving.event_stream import EventStream
from serving.gateway.api import Event, Recommended, RecommendReply
from serving.gateway.metrics import GatewayState, Metrics

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "infra" / "monitoring"
MEASURED = re.compile(r"\bwinnow_[a-z_]+")
RECORDED = re.compile(r"\bwinnow:[a-z0-9_:]+")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What a gateway and the stream tier expose once each thing has happened to them: name → names of labels."""
    metrics = Metrics()
    stream = EventStream("redis://127.0.0.1:1/0", tmp_path_factory.mktemp("stream") / "unsent.jsonl")
    metrics.registry.register(GatewayState(stream, lambda: 1, lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    item = Recommended(rank=1, item_id="i", title="", score=1.0, tasks={}, sources=("popular",))
    metrics.recommended(
        RecommendReply(
            request_id="r", release=1, items=[item], fallbacks=["ranker: x"], timings_ms={"recall": 1}, experiments={"x": "a"}
        )
    )
    metrics.recorded([Event(event_id="e", user_id="u", item_id="i", type="t", timestamp_ms=1_700_000_000_000)], 1_700_000_001)
    metrics.request_ended("POST", "/v1/recommend", 200, 0.01)
    metrics.rate_limited("recommend")
    stream.close()
    counting = StreamMetrics()
    counting.committed(Manifest(FORMAT, 1, 0, (), 1, 1, 1, 1, {}, {}), 1.0)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families((metrics.page() + generate_latest(counting.registry)).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries() -> list[str]:
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return asked + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_every_metric_that_is_asked_for_is_measured(exposed: dict[str, set[str]]) -> None:
    asked = {name for query in queries() for name in MEASURED.findall(query)}
    assert len(asked) > 10
    assert asked <= set(exposed)


def test_every_metric_is_chosen_by_labels_that_it_has(exposed: dict[str, set[str]]) -> None:
    for query in queries():
        for name, selector in re.findall(r"\b(winnow_[a-z_]+)\{([^}]*)\}", query):
            assert set(re.findall(r"([a-z_]+)(?:=~|!~|!=|=)", selector)) <= exposed[name], query


def test_every_recorded_name_is_recorded() -> None:
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    assert {name for query in queries() for name in RECORDED.findall(query)} == recorded


def test_every_alert_says_what_to_do_and_is_tried() -> None:
    rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
    alerts: list[dict[str, Any]] = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    tried = "".join(path.read_text() for path in MONITORING.glob("rules*_test.yaml"))
    for alert in alerts:
        assert set(alert["annotations"]) == {"summary", "action"}
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["alert"] in tried


def test_what_is_made_from_the_sources_is_up_to_date() -> None:
    script = ROOT / "infra" / "scripts" / "monitoring.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_panel_has_its_own_place() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_rules_do_what_they_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    files = sorted(map(str, MONITORING.glob("rules*_test.yaml")))
    done = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
