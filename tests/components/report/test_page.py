import re
from dataclasses import replace
from typing import Any

import pytest

from components.report.page import SECTIONS, render
from components.report.record import History, NodeRun, NodeState, RunRecord


@pytest.fixture
def empty() -> RunRecord:
    return RunRecord("shop", "run-1", "var/run", [])


def test_every_section_is_there_in_order_and_in_the_contents(record: RunRecord, parse: Any) -> None:
    page = parse(render(record))
    wanted = [
        "verdict", "funnel", "slices", "calibration", "training", "index", "lists", "data", "anomalies", "ranking", "timings",
        "release",
    ]  # fmt: skip
    assert [value for tag, name, value in page.attributes if tag == "section" and name == "id"] == wanted
    assert [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")] == [f"#{each}" for each in wanted]


def test_nothing_is_loaded_and_nothing_runs(record: RunRecord, parse: Any) -> None:
    text = render(record)
    page = parse(text)
    assert {"script", "iframe", "img", "object", "form"}.isdisjoint(page.tags)
    assert page.values("src") == []
    assert all(value.startswith("#") or value == "data:," for value in page.values("href"))
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^'\")]*)", text))
    assert "@import" not in text
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_what_users_wrote_is_shown_and_not_obeyed(record: RunRecord, parse: Any, evil: str) -> None:
    text = render(record)
    assert "<script" not in text
    page = parse(text)
    for section in ("lists", "data", "anomalies", "slices", "ranking"):
        assert evil[:8] in page.text[section], section
    assert any(evil[:8] in value for value in page.values("aria-label"))


def test_ids_are_unique_and_references_meet_them(record: RunRecord, parse: Any) -> None:
    page = parse(render(record))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href") if value.startswith("#")} <= set(ids)
    clips = {match for value in page.values("clip-path") for match in re.findall(r"url\(#(.*?)\)", value)}
    assert clips
    assert clips <= set(ids)


def test_each_chart_has_a_name_for_those_who_do_not_see_it(record: RunRecord, parse: Any) -> None:
    page = parse(render(record))
    charts = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(charts) == page.tags.count("svg") == page.tags.count("figure")
    assert "Bar chart of NDCG@10: funnel 0.2000 (95 % interval 0.1800 to 0.2200), popularity 0.1000." in charts


def test_the_same_run_gives_the_same_page(record: RunRecord) -> None:
    assert render(record) == render(record)


def test_a_published_run_says_what_it_won_and_how_to_serve_it(record: RunRecord, parse: Any) -> None:
    page = parse(render(record))
    assert "Release 3 is published" in page.text[""]
    assert "+100.0 %" in page.text["verdict"]  # 0.2 against 0.1
    assert "better, beyond chance" in page.text["verdict"]
    assert "releases/bundles/3/manifest.json" in page.text["release"]
    assert "winnow serve --workdir 'var/my shop'" in page.text["release"]


def test_a_run_that_is_refused_says_why(record: RunRecord, parse: Any) -> None:
    refused = replace(record, release={"pushed": False, "version": None, "path": None, "reasons": ["It is bad.", "Very."]})
    page = parse(render(refused))
    assert "Not published" in page.text[""]
    assert "It is bad." in page.text[""]
    assert "winnow serve" not in page.text["release"]


def test_a_failed_run_names_its_node_and_what_was_not_reached(record: RunRecord, empty: RunRecord, parse: Any) -> None:
    failed = replace(empty, nodes=[record.nodes[0], NodeRun("Samples", NodeState.FAILED, 1_000, 2_000)], data=record.data)
    page = parse(render(failed))
    assert "The run stopped at Samples, so nothing is published" in page.text[""]
    assert "Samples failed in this run, so there is nothing to show." in page.text["data"]
    assert "Not reached: this run ended before IndexBuilder." in page.text["index"]


def test_every_part_may_be_missing(empty: RunRecord, parse: Any) -> None:
    page = parse(render(empty))
    for section in SECTIONS:
        assert page.text[section.id].strip() != section.title
    assert "The run ended before the Pusher" in page.text[""]


@pytest.mark.parametrize(
    "part", ["data", "statistics", "split", "anomalies", "index", "ranking", "evaluation", "check", "lists"]
)
def test_one_part_missing_leaves_the_others(record: RunRecord, parse: Any, part: str) -> None:
    assert "Release 3 is published" in parse(render(replace(record, **{part: None}))).text[""]


def test_files_that_are_gone_are_told_from_nodes_that_did_not_run(record: RunRecord, parse: Any) -> None:
    page = parse(render(replace(record, data=None)))
    assert "Ingest ran, but its files are gone from the work directory." in page.text["data"]


def test_predictions_are_judged_over_all_and_within_users(record: RunRecord, parse: Any) -> None:
    text = parse(render(record)).text["calibration"]
    assert "AUC 0.7000, within users 0.6500, log loss 0.6000" in text
    assert "600" in text
    assert "0.0625" in text


def test_no_anomalies_is_said_in_words(record: RunRecord, parse: Any) -> None:
    assert "None found" in parse(render(replace(record, anomalies=[]))).text["anomalies"]


def test_a_gate_that_stopped_the_run_is_never_called_clean(record: RunRecord, parse: Any) -> None:
    gate = NodeRun("ValidationGate", NodeState.FAILED, 1_000, 2_000)
    text = parse(render(replace(record, nodes=[gate], anomalies=[]))).text["anomalies"]
    assert "ValidationGate did not pass" in text
    assert "None found" not in text


def test_long_tables_are_cut_and_say_so(record: RunRecord, parse: Any) -> None:
    anomalies = [{"split": "eval", "feature": f"f{i}", "severity": "warning", "reason": "drift"} for i in range(1_045)]
    page = parse(render(replace(record, anomalies=anomalies)))
    assert "… and 1,005 more" in page.text["anomalies"]
    assert "f39" in page.text["anomalies"]
    assert "f40" not in page.text["anomalies"]


def test_losses_share_a_chart_and_what_repeats_or_is_nothing_is_left_out(record: RunRecord, parse: Any) -> None:
    curves = {"loss": [3.0, 2.0], "total_loss": [3.0, 2.0], "regularization_loss": [0.0, 0.0], "recall_at_100": [0.4, 0.5]}
    page = parse(render(replace(record, histories={"RetrievalTrainer": History("recall_at_100", 2, curves, [2.0, 3.0])})))
    assert "loss by epoch, best 2: loss 3, 2." in page.values("aria-label")
    assert "RetrievalTrainer: best epoch 2 of 2, Recall@100 0.5000, 2.5 s an epoch." in page.text["training"]


def test_a_wanted_item_is_marked_where_it_was_recommended(record: RunRecord, parse: Any) -> None:
    page = parse(render(record))
    assert "at rank 1" in page.text["lists"]
    assert page.values("class").count("wanted") == 1
