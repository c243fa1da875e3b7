from datetime import date
from xml.etree import ElementTree

import pytest

from components.report import charts


def test_a_chart_is_an_svg_element_that_scales() -> None:
    picture = charts.long_tail("tail", [1, 2, 10], [900, 300, 1])
    root = ElementTree.fromstring(picture)  # noqa: S314  our own
    assert root.attrib["viewBox"] == "0 0 460 240"
    assert root.attrib["style"] == "max-width:460px"
    assert "width" not in root.attrib
    assert root.attrib["aria-label"] == "Long tail: 900 events for the first item, 1 for the last of 10."


def test_text_stays_text_of_the_page() -> None:
    picture = charts.top_items("top", [("価格 $5 and $6", {"click": 3})])
    assert ">価格 $5 and $6</text>" in picture
    assert "font-family: inherit" in picture
    assert "DejaVu" not in picture


@pytest.mark.filterwarnings("error")
def test_the_smallest_data_can_be_drawn() -> None:
    day = date(2026, 1, 1)
    for picture in (
        charts.system_bars("a", "m", {"funnel": 0.0}, {}),
        charts.slice_bars("b", "c", [("x", 1, {})], "m", 0.0),
        charts.calibration("c", "t", [0.0], [0.0], [0]),
        charts.learning_curves("d", "loss", {"loss": [1.0]}, 1),
        charts.index_recall("e", 0.0, 1.0),
        charts.timeline("f", "m", [day], {"s": [0.0]}, {"test": day}),
        charts.top_items("g", [("x", {})]),
        charts.long_tail("h", [1], [1]),
        charts.ranking_slices("i", "m", [("x", 1, 0.5)], None),
        charts.timings("j", [("Ingest", 0.0, "reused")]),
    ):
        assert picture.startswith("<svg ")
        assert picture.endswith("</svg>")


def test_more_series_than_colours_are_all_drawn() -> None:
    series = {f"type {i}": [1.0, 2.0] for i in range(12)}
    picture = charts.timeline("many", "events a day", [date(2026, 1, 1), date(2026, 1, 2)], series, {})
    assert all(f">type {i}</text>" in picture for i in range(12))
