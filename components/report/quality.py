"""How good the lists are, beside other ways of making them, by group and one by one."""

import re
from collections.abc import Iterator

from components.report import charts, words
from components.report.blocks import (
    Block,
    Cell,
    Chart,
    Charts,
    ListedItem,
    Notice,
    SampleList,
    SampleLists,
    Table,
)
from components.report.record import Json
from components.report.verdict import HEADLINE, deepest_recall, reading, tone_of

LEADING = (
    ("ndcg@10", "how near the top the wanted item stands"),
    ("recall@10", "share of wanted items in the first 10"),
    ("recall@100", "share of wanted items in the first 100"),
    ("mrr@10", "1 / rank of the wanted item"),
    ("coverage@10", "share of the catalogue that is ever shown"),
    ("gini@10", "0 if all items are shown alike, 1 if only one is"),
    ("novelty@10", "rarity of what is shown, in bits"),
    ("diversity@10", "difference within a list"),
)
NEUTRAL = ("gini", "novelty", "diversity")  # what is good depends on the product
UNDRAWN = ("ndcg@10", "gini@10")  # drawn larger elsewhere; says what coverage says
SHOWN_SLICES, SHOWN_SAMPLES, OPEN_SAMPLES = 25, 12, 2
_SLICE = re.compile(r"(.*?)(=|(?=<|>=))(.*)", re.DOTALL)
_RANGE = re.compile(r"\d+\+$|^\[|^<|^>=")


def funnel_blocks(evaluation: Json) -> list[Block]:
    """Every metric of every system."""
    metrics = evaluation["metrics"]
    found = list(dict.fromkeys(metric for values in metrics.values() for metric in values))
    leading = [(metric, meaning) for metric, meaning in LEADING if metric in found]
    small = [
        Chart.of(
            words.metric_label(metric),
            charts.system_bars(
                f"metric-{place}",
                words.metric_label(metric),
                {system: values[metric] for system, values in metrics.items() if words.is_finite(values.get(metric))},
                {},
                small=True,
            ),
            meaning,
        )
        for place, (metric, meaning) in enumerate(leading)
        if metric not in UNDRAWN
    ]
    others = [(metric, "") for metric in found if metric not in dict(leading)]
    return [
        _metric_table("Metrics", metrics, leading),
        _differences(evaluation),
        Charts(small, small=True),
        *([_metric_table("All other metrics", metrics, others, folded=True)] if others else []),
    ]


def _metric_table(title: str, metrics: Json, rows: list[tuple[str, str]], folded: bool = False) -> Table:
    def row(metric: str, meaning: str) -> list[Cell]:
        values = [values.get(metric) for values in metrics.values()]
        known = [value for value in values if words.is_finite(value)]
        best = None if metric.startswith(NEUTRAL) else max(known, default=None)
        return [
            Cell(words.metric_label(metric), note=meaning),
            *(Cell(words.decimal(value), "strong" if value == best else "") for value in values),
        ]

    columns = ["Metric", *(words.system_label(system) for system in metrics)]
    return Table.of(title, columns, [row(*each) for each in rows], folded=folded)


def _differences(evaluation: Json) -> Table:
    metrics, differences = evaluation["metrics"], evaluation["differences"]
    rows = []
    for system, found in differences.items():
        reference = metrics.get(system, {}).get(HEADLINE) or 0.0
        rows.append(
            [
                Cell(words.system_label(system)),
                Cell(reading(found), tone_of(found)),
                Cell(words.signed(found["estimate"])),
                Cell(f"{words.signed(found['low'])} to {words.signed(found['high'])}"),
                Cell(words.change(found["estimate"] / reference) if reference > 0 else words.ABSENT),
            ]
        )
    columns = ["Funnel against", "NDCG@10 is", "Difference", "95 % interval, paired bootstrap", "Relative"]
    return Table.of("Is the difference more than chance?", columns, rows, text_columns=2)


def slice_blocks(evaluation: Json) -> list[Block]:
    """The headline metric by group of queries."""
    slices: Json = evaluation["slices"]
    if not slices:
        return [Notice("No slices are configured, or none has enough test moments.")]

    def of_funnel(label: str) -> float:
        return float(slices[label]["metrics"].get("funnel", {}).get(HEADLINE, 0.0))

    overall = evaluation["metrics"].get("funnel", {}).get(HEADLINE, 0.0)
    worst = min(slices, key=of_funnel)
    worst_count = words.count(slices[worst]["query_count"])
    served = f"Served worst: {worst}, NDCG@10 {of_funnel(worst):.4f} over {worst_count} test moments; {overall:.4f} over all."
    systems = list(evaluation["metrics"])
    deep = deepest_recall(evaluation["metrics"].get("funnel", {})) or ""
    rows = [
        [
            Cell(label),
            Cell(words.count(found["query_count"])),
            *(Cell(words.decimal(found["metrics"].get(system, {}).get(HEADLINE))) for system in systems),
            Cell(words.decimal(found["metrics"].get("funnel", {}).get(deep))),
        ]
        for label, found in slices.items()
    ]
    columns = [
        "Slice",
        "Test moments",
        *(f"NDCG@10 {words.system_label(system)}" for system in systems),
        f"{words.metric_label(deep)} funnel",
    ]
    return [
        Notice(served),
        Charts(list(_slice_charts(slices, overall))),
        Table.of("All slices", columns, rows, folded=True, limit=100),
        *_new_items(evaluation.get("new_items")),
    ]


def _new_items(judged: Json | None) -> Iterator[Block]:
    """How well items that nobody had in training are told from each other."""
    if not judged:
        return
    moments, items = words.count(judged["query_count"]), words.count(judged["item_count"])
    metrics = list(next(iter(judged["metrics"].values())))
    rows = [
        [Cell(words.system_label(system)), *(Cell(words.decimal(values[metric])) for metric in metrics)]
        for system, values in judged["metrics"].items()
    ]
    title = f"New items alone: {moments} moments at which one of {items} items was wanted that nobody had in training"
    yield Table.of(title, ["System", *(words.metric_label(metric) for metric in metrics)], rows)


def _slice_charts(slices: Json, overall: float) -> Iterator[Chart]:
    """One chart a column, its slices from best to worst, or in their order if they are ranges."""
    columns: dict[str, list[tuple[str, int, dict[str, float]]]] = {}
    for label, found in slices.items():
        parts = _SLICE.fullmatch(label)
        column, value = (parts[1], parts[3]) if parts else ("all", label)
        values = {system: each[HEADLINE] for system, each in found["metrics"].items() if words.is_finite(each.get(HEADLINE))}
        columns.setdefault(column, []).append((value, found["query_count"], values))
    for place, (column, rows) in enumerate(columns.items()):
        kept = sorted(rows, key=lambda row: -row[1])[:SHOWN_SLICES]
        if any(_RANGE.search(value) for value, _, _ in rows):
            kept = [row for row in rows if row in kept]
        else:
            kept.sort(key=lambda row: -row[2].get("funnel", 0.0))
        note = f"… and {len(rows) - len(kept)} smaller slices" if len(rows) > len(kept) else ""
        picture = charts.slice_bars(f"slice-{place}", column, kept, "NDCG@10", overall)
        yield Chart.of(f"NDCG@10 by {words.shortened(column)}", picture, note)


def sample_blocks(evaluation: Json) -> list[Block]:
    """Lists to look at with one's own eyes."""
    samples = evaluation.get("samples", [])[:SHOWN_SAMPLES]
    if not samples:
        return [Notice("There is no sample in the evaluation.")]
    return [SampleLists([_sample(sample, open_=place < OPEN_SAMPLES) for place, sample in enumerate(samples)])]


def _sample(sample: Json, open_: bool) -> SampleList:
    wanted = sample["wanted"]
    ranks = [place for place, item in enumerate(sample["recommended"], 1) if item["item_id"] == wanted["item_id"]]
    title = words.shortened(wanted["title"], 60)
    found = f"at rank {ranks[0]}" if ranks else f"not in the first {len(sample['recommended'])}"
    return SampleList(
        user_id=sample["user_id"],
        outcome=f"wanted next: {title}, {found}",
        hit=bool(ranks),
        history=[ListedItem(item["item_id"], item["title"]) for item in sample["history"][:10]],
        recommended=[
            ListedItem(item["item_id"], item["title"], f"{item['score']:.3f}", item["item_id"] == wanted["item_id"])
            for item in sample["recommended"][:10]
        ],
        open=open_,
    )
