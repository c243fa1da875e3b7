"""A run as small as it can be with something in every section."""

from datetime import date
from html.parser import HTMLParser

import pytest

from components.report.record import (
    Coverage,
    EventData,
    History,
    NodeRun,
    NodeState,
    Popularity,
    RankingEvaluation,
    RankingSlice,
    Reject,
    RunRecord,
    Statistics,
    TopItem,
)
from components.schema.events import DaySummary, EventLogSummary

EVIL = "<script>alert('x')</script> & \"$a$\" 日本"
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """What a test asks of a page: that its tags are balanced, and what is in them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # tag, name, value
        self.text: dict[str, str] = {}  # of each section, by its id
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text[self._section] = self.text.get(self._section, "") + data

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


@pytest.fixture
def parse() -> type[Page]:
    return Page


@pytest.fixture
def evil() -> str:
    """A title that would do harm if it were not escaped."""
    return EVIL


@pytest.fixture
def record() -> RunRecord:
    days = [DaySummary(f"2026-01-0{day}", 10 * day, day, 0, 0, {"click": 6 * day, EVIL: 4 * day}) for day in (1, 2, 5)]
    log = EventLogSummary(
        row_count=90, event_count=80, reject_count=4, duplicate_count=6, late_count=None,
        first_timestamp_ms=1_767_225_600_000, last_timestamp_ms=1_767_657_600_000,
        reject_reasons={EVIL: 4}, unknown_item_count=1, unknown_user_count=2, unreadable_features={"year": 3}, days=days,
    )  # fmt: skip
    item = {"item_id": "a", "title": EVIL}
    other = {"item_id": "b", "title": "Other"}
    metrics = {
        "funnel": {
            "ndcg@10": 0.2,
            "recall@10": 0.3,
            "recall@100": 0.6,
            "mrr@10": 0.1,
            "coverage@10": 0.5,
            "precision@10": 0.03,
        },
        "popularity": {"ndcg@10": 0.1, "recall@10": 0.2, "recall@100": 0.4, "mrr@10": 0.05, "coverage@10": 0.1},
    }
    evaluation = {
        "query_count": 1200,
        "k": [10, 50, 100],
        "metrics": metrics,
        "intervals": {"funnel": {"ndcg@10": {"estimate": 0.2, "low": 0.18, "high": 0.22}}},
        "differences": {"popularity": {"estimate": 0.1, "low": 0.08, "high": 0.12}},
        "slices": {f"country={EVIL}": {"query_count": 700, "metrics": metrics},
                   "history=21+": {"query_count": 500, "metrics": {"funnel": {"ndcg@10": 0.15}}}},
        "new_items": {"query_count": 60, "item_count": 9,
                      "metrics": {"funnel": {"recall@10": 0.3}, "random": {"recall@10": 0.1}}},
        "prediction": {"like": {"auc": 0.7, "grouped_auc": 0.65, "log_loss": 0.6, "calibration_error": 0.05,
                                "curve": {"mean_prob": [0.1, 0.8], "observed_rate": [0.2, 0.7], "count": [10, 30]},
                                "calibration_by_slice": {EVIL: {"sample_count": 600, "calibration_error": 0.0625,
                                                                "mean_prob": 0.3, "observed_rate": 0.25}}}},
        "verdict": {"blessed": True, "checks": [
            {"name": "bound", "passed": True, "found": 0.2, "wanted": 0.1, "sentence": "ndcg@10 reaches what is wanted."}]},
        "samples": [{"user_id": EVIL, "history": [other], "recommended": [{**item, "score": 1.25}], "wanted": item}],
    }  # fmt: skip
    start = 1_767_700_000_000
    return RunRecord(
        name="shop",
        run_id="run-1",
        workdir="var/my shop",
        nodes=[
            NodeRun("Ingest", NodeState.CACHED, start, start + 10),
            NodeRun("ValidationGate", NodeState.COMPLETE, start + 10, start + 10),
        NodeRun("RankingTrainer", NodeState.COMPLETE, start + 10, start + 65_010),
        ],
        data=EventData(log, 100, 20, Popularity([1, 2], [50, 30], 2, 80, 0.625), [Reject("e.csv", 7, "no time", EVIL)]),
        statistics=Statistics([TopItem("a", EVIL, 50, {"click": 50})], Coverage([date(2026, 1, 1)], [0.5])),
        split={"eval_from_ms": 1_767_300_000_000, "test_from_ms": 1_767_500_000_000, "last_timestamp_ms": 1_767_657_600_000},
        anomalies=[{"split": "eval", "feature": EVIL, "severity": "error", "reason": "new values"}],
        histories={
            "RetrievalTrainer": History("recall_at_100", 2, {"loss": [3.0, 2.0], "recall_at_100": [0.4, 0.5]}),
            "RankingTrainer": History("ndcg_at_10", 1, {"loss": [1.0], "ndcg_at_10": [0.2]}),
        },
        index={"kind": "tree_ah", "item_count": 100, "dim": 8, "query_count": 50, "recall_at_100": 0.97, "min_recall": 0.95,
               "exact_ms_per_query": 0.2, "scann_ms_per_query": 0.01},
        ranking=RankingEvaluation(
            [RankingSlice("", 1000, {"like": {"auc": 0.7}}), RankingSlice(f"country={EVIL}", 400, {"like": {"auc": 0.65}})], []
        ),
        evaluation=evaluation,
        check={"passed": True, "reason": "",
               "requests": [{"name": "REST ranker", "ok": True, "detail": "10 items", "latency_ms": 3.21}]},
        release={"pushed": True, "version": 3, "path": "releases/bundles/3", "reasons": []},
        lists={"user_count": 20, "list_length": 10, "seconds": 1.5},
    )  # fmt: skip
