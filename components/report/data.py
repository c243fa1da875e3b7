"""What the run was fed with: counts, rejects, time, popularity."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

import numpy as np

from components.report import charts, words
from components.report.blocks import Block, Cell, Chart, Charts, Notice, Table, Tile, Tiles, absence
from components.report.record import EventData, Json, NodeState, RunRecord, Statistics
from components.schema.events import EventLogSummary

MAX_POINTS = 360
SHOWN_TYPES, SHOWN_ITEMS, SHOWN_CONTENT = 7, 15, 160


def data_blocks(record: RunRecord) -> list[Block]:
    """Counts first, then pictures, then what was refused."""
    if record.data is None:
        return [absence(record, "Ingest")]
    pictures = list(_timelines(record.data.log, record.split))
    if record.statistics:
        pictures += _statistics_charts(record.statistics)
    if record.data.popularity.rank:
        pictures.append(_long_tail(record.data))
    blocks: list[Block] = [Tiles(_tiles(record.data)), Charts(pictures)]
    if record.statistics is None:
        blocks.append(absence(record, "Samples"))
    if record.split and record.split.get("eval_from_ms"):
        blocks.append(_split_table(record.data.log, record.split))
    return blocks + _refused(record.data)


def _tiles(data: EventData) -> list[Tile]:
    log = data.log
    late = "the source does not say when events arrived" if log.late_count is None else "arrived after their day"
    period = f"{words.utc_minute(log.first_timestamp_ms)[:10]} to {words.utc_minute(log.last_timestamp_ms)[:10]}"
    share = log.reject_count / log.row_count if log.row_count else 0.0
    return [
        Tile("Rows read", words.count(log.row_count)),
        Tile("Events kept", words.count(log.event_count)),
        Tile("Days with events", words.count(len(log.days)), period),
        Tile("Items", words.count(data.item_count)),
        Tile("Users", words.ABSENT if data.user_count is None else words.count(data.user_count)),
        Tile(
            "Rejects", words.count(log.reject_count), f"{words.percent(share, 2)} of rows", "warn" if log.reject_count else ""
        ),
        Tile("Duplicates", words.count(log.duplicate_count), "counted once"),
        Tile("Late", words.ABSENT if log.late_count is None else words.count(log.late_count), late),
        Tile("Unknown items", words.count(log.unknown_item_count), "events whose item is not in the catalogue"),
        Tile("Unknown users", words.count(log.unknown_user_count), "events whose user is not in the catalogue"),
    ]


def _timelines(log: EventLogSummary, split: Json | None) -> Iterator[Chart]:
    if not log.days:
        return
    totals: Counter[str] = Counter()
    for day in log.days:
        totals.update(day.events_by_type)
    shown = [each for each, _ in totals.most_common(SHOWN_TYPES)]
    series = {"users": [float(day.user_count) for day in log.days]}
    series |= {each: [float(day.events_by_type.get(each, 0)) for day in log.days] for each in shown}
    if len(totals) > len(shown):
        rest = totals.keys() - set(shown)
        series["other types"] = [float(sum(day.events_by_type.get(each, 0) for each in rest)) for day in log.days]
    days, thinned, step = by_day([date.fromisoformat(day.day) for day in log.days], series)
    note = "" if step == 1 else f"Means of {step} days."
    beginnings = (("validation", "eval_from_ms"), ("test", "test_from_ms"))
    marks = {
        name: datetime.fromtimestamp(split[key] / 1000, UTC).date() for name, key in beginnings if split and split.get(key)
    }
    users = {"users": thinned.pop("users")}
    events = {words.shortened(each, 18): values for each, values in thinned.items()}
    split_note = "Lines: where the validation and the test split begin. " if marks else ""
    yield Chart.of("Daily active users", charts.timeline("daily-users", "users a day", days, users, marks), split_note + note)
    yield Chart.of("Events by type", charts.timeline("daily-events", "events a day", days, events, marks), split_note + note)


def by_day(days: list[date], series: Mapping[str, list[float]]) -> tuple[list[date], dict[str, list[float]], int]:
    """Every day from the first to the last, 0 where nothing happened; means of some days each if they are too many to draw.

    Returns:
      The days, or the first ones of each group; the values; the days in a group.
    """
    first = min(days)
    place = np.array([(day - first).days for day in days])
    length = int(place.max()) + 1
    step = -(-length // MAX_POINTS)
    groups = place // step
    sizes = np.minimum(step, length - np.arange(groups.max() + 1) * step)
    thinned = {name: (np.bincount(groups, weights=values) / sizes).tolist() for name, values in series.items()}
    return [first + timedelta(days=int(group) * step) for group in range(groups.max() + 1)], thinned, step


def _statistics_charts(statistics: Statistics) -> list[Chart]:
    pictures = []
    coverage = statistics.coverage
    if coverage.days:
        days, thinned, step = by_day(coverage.days, {"share": coverage.active_item_share})
        picture = charts.timeline("coverage", "share of the catalogue", days, thinned, {}, share=True)
        pictures.append(Chart.of("Items with an event", picture, "" if step == 1 else f"Means of {step} days."))
    if statistics.top_items:
        rows = [(item.title, item.events_by_type) for item in statistics.top_items[:SHOWN_ITEMS]]
        picture = charts.top_items("top-items", rows)
        pictures.append(Chart.of(f"The {len(rows)} items with the most events", picture))
    return pictures


def _long_tail(data: EventData) -> Chart:
    spread = data.popularity
    without = max(0, data.item_count - spread.item_count)
    note = (
        f"The most popular fifth of the items that have events gets {words.percent(spread.head_share)} of them; "
        f"{words.count(without)} of {words.count(data.item_count)} items have none. Both axes are logarithmic."
    )
    return Chart.of("Long tail of the items", charts.long_tail("long-tail", spread.rank, spread.event_count), note)


def _split_table(log: EventLogSummary, split: Json) -> Table:
    edges = [log.first_timestamp_ms, split["eval_from_ms"], split["test_from_ms"], split["last_timestamp_ms"]]
    rows = [
        [name, words.utc_minute(start), words.utc_minute(end)]
        for name, start, end in zip(("training", "validation", "test"), edges, edges[1:], strict=False)
    ]
    return Table.of("Split by time", ["Split", "From", "Until"], rows, text_columns=3)


def _refused(data: EventData) -> list[Block]:
    log = data.log
    blocks: list[Block] = []
    if log.reject_reasons:
        reasons = sorted(log.reject_reasons.items(), key=lambda each: -each[1])
        blocks.append(
            Table.of("Rejects by reason", ["Reason", "Rows"], [[name, words.count(rows)] for name, rows in reasons], limit=20)
        )
    if log.unreadable_features:
        rows = [
            [name, words.count(values)] for name, values in sorted(log.unreadable_features.items(), key=lambda each: -each[1])
        ]
        blocks.append(Table.of("Feature values that did not fit their kind", ["Feature", "Values"], rows, limit=20))
    if data.rejects:
        table = Table.of(
            "The first rejects",
            ["File", "Row", "Reason", "Content"],
            [[each.file, str(each.row), each.reason, words.shortened(each.content, SHOWN_CONTENT)] for each in data.rejects],
            text_columns=4,
            folded=True,
        )
        blocks.append(table)
    return blocks


def anomaly_blocks(record: RunRecord) -> list[Block]:
    """What TFDV found, the worst first."""
    if record.anomalies is None:
        return [absence(record, "ValidationGate")]
    if record.node("ValidationGate").state in (NodeState.COMPLETE, NodeState.CACHED):
        return _anomalies(record.anomalies)
    text = "ValidationGate did not pass, so this is what ExampleValidator found; drift between splits is not in it."
    return [Notice(text, "bad"), *(_anomalies(record.anomalies) if record.anomalies else [])]


def _anomalies(anomalies: list[Json]) -> list[Block]:
    if not anomalies:
        return [Notice("None found: the samples fit their schema, and no later split has drifted from training.", "good")]
    ordered = sorted(anomalies, key=lambda each: each["severity"] != "error")
    rows = [
        [Cell(each["severity"], "bad" if each["severity"] == "error" else "warn"), Cell(each["split"]), Cell(each["feature"]),
         Cell(words.shortened(each["reason"], 400))]
        for each in ordered
    ]  # fmt: skip
    return [Table.of("Anomalies", ["Severity", "Split", "Feature", "Reason"], rows, text_columns=4)]
