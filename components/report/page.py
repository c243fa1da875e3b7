"""One HTML file about one run, with everything in it: it can be mailed, printed and opened without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from components.report import data, models, quality, release, words
from components.report.blocks import Block, absence
from components.report.record import RunRecord
from components.report.verdict import banner, verdict_blocks


@dataclass(frozen=True)
class Section:
    """A section of the page, in words and in what makes its blocks.

    Attributes:
      node: whose absence explains that there is nothing to show.
      source: the part of the record that ``blocks`` is given, None if there is none.
    """

    id: str
    title: str
    intro: str
    node: str
    source: Callable[[RunRecord], Any]
    blocks: Callable[[Any], list[Block]]

    def of(self, record: RunRecord) -> list[Block]:
        part = self.source(record)
        return self.blocks(part) if part is not None else [absence(record, self.node)]


def _whole(record: RunRecord) -> RunRecord:
    return record


SECTIONS = (
    Section("verdict", "Verdict", "", "Pusher", _whole, verdict_blocks),
    Section(
        "funnel", "Whole funnel",
        "Recall and ranking together on the test split, beside what a user would get without them. Best in bold.",
        "FunnelEvaluator", lambda record: record.evaluation, quality.funnel_blocks,
    ),
    Section(
        "slices", "Slices",
        "A good mean can hide groups that are served badly. In brackets: test moments of the slice.",
        "FunnelEvaluator", lambda record: record.evaluation, quality.slice_blocks,
    ),
    Section(
        "calibration", "Calibration",
        "Of what the ranker gives 30 %, 30 % should happen. A dot's area grows with its number of samples.",
        "FunnelEvaluator", lambda record: record.evaluation, models.calibration_blocks,
    ),
    Section(
        "training", "Learning curves",
        "After each epoch the model is measured on the validation split; the weights of the best epoch are kept.",
        "RetrievalTrainer", _whole, models.training_blocks,
    ),
    Section(
        "index", "Index", "What ScaNN finds of what an exact search finds, and how fast.",
        "IndexBuilder", lambda record: record.index, models.index_blocks,
    ),
    Section(
        "lists", "Sample lists", "One test moment each of some users. History: most recent first.",
        "FunnelEvaluator", lambda record: record.evaluation, quality.sample_blocks,
    ),
    Section("data", "Data", "What was read, kept and refused.", "Ingest", _whole, data.data_blocks),
    Section(
        "anomalies", "Anomalies", "The samples against their schema, and later splits against training.",
        "ValidationGate", _whole, data.anomaly_blocks,
    ),
    Section(
        "ranking", "Ranker by slice", "What TensorFlow Model Analysis measured on the samples of the test split.",
        "Evaluator", lambda record: record.ranking, models.ranking_blocks,
    ),
    Section("timings", "Timings", "", "Ingest", _whole, release.timing_blocks),
    Section("release", "Release and serving", "", "Pusher", _whole, release.release_blocks),
)  # fmt: skip


def render(record: RunRecord) -> str:
    """The page, as a string of UTF-8 HTML that asks for no other file."""
    folder = resources.files("components.report")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    started = [node.started_ms for node in record.nodes if node.started_ms]
    return template.render(
        name=record.name,
        run_id=record.run_id,
        started=words.utc_minute(min(started)) if started else "",
        banner=banner(record),
        sections=[(section, section.of(record)) for section in SECTIONS],
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
    )
