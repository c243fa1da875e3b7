"""How the models and the index behind the lists are doing."""

from collections.abc import Iterator

from components.report import charts, words
from components.report.blocks import Block, Cell, Chart, Charts, Notice, Table, Tile, Tiles, absence
from components.report.record import History, Json, RankingEvaluation, RunRecord

SHOWN_SLICES, SHOWN_METRICS = 25, 5


def calibration_blocks(evaluation: Json) -> list[Block]:
    """Whether a predicted probability can be taken at its word."""
    prediction: Json = evaluation["prediction"]
    if not prediction:
        reason = "No task can be judged: each has drawn negatives, or outcomes of one kind only, in the test split."
        return [Notice(reason)]
    curves = [
        Chart.of(
            f"Calibration of {words.shortened(task)}",
            charts.calibration(
                f"calibration-{place}",
                words.shortened(task),
                found["curve"]["mean_prob"],
                found["curve"]["observed_rate"],
                found["curve"]["count"],
            ),
            f"AUC {words.decimal(found['auc'])}, within users {words.decimal(found.get('grouped_auc'))}, "
            f"log loss {words.decimal(found['log_loss'])}, calibration error {words.decimal(found['calibration_error'])}.",
        )
        for place, (task, found) in enumerate(prediction.items())
        if found["curve"]["mean_prob"]
    ]
    rows = [
        [
            Cell(f"{words.shortened(task)}, {value}" if len(prediction) > 1 else value, "strong"),
            Cell(words.count(of_slice["sample_count"])),
            *(Cell(words.decimal(of_slice[name])) for name in ("mean_prob", "observed_rate", "calibration_error")),
        ]
        for task, found in prediction.items()
        for value, of_slice in found.get("calibration_by_slice", {}).items()  # runs of earlier versions have none
    ]
    columns = ["Slice", "Samples", "Mean prediction", "Observed rate", "Calibration error"]
    tables = [Table.of("Calibration by slice", columns, rows, folded=True, limit=100)] if rows else []
    return [Charts(curves, small=True), *tables]


def training_blocks(record: RunRecord) -> list[Block]:
    """Learning curves of both models."""
    blocks: list[Block] = []
    for node in ("RetrievalTrainer", "RankingTrainer"):
        history = record.histories.get(node)
        if history is None:
            blocks.append(absence(record, node))
            continue
        epochs = max((len(values) for values in history.curves.values()), default=0)
        best = history.curves.get(history.metric, [])
        reached = f", {words.metric_label(history.metric)} {max(best):.4f}" if best else ""
        took = f", {sum(history.seconds) / len(history.seconds):.1f} s an epoch" if history.seconds else ""
        blocks.append(Notice(f"{node}: best epoch {history.best_epoch} of {epochs}{reached}{took}."))
        blocks.append(Charts(list(_panels(node, history)), small=True))
    return blocks


def _panels(node: str, history: History) -> Iterator[Chart]:
    """All losses in one chart, each metric in one of its own: their scales differ."""
    losses: dict[str, list[float]] = {}
    for name, values in history.curves.items():
        if "loss" in name and any(values) and values not in losses.values():
            losses[name] = values
    metrics = {name: values for name, values in history.curves.items() if "loss" not in name}
    ordered = sorted(metrics, key=lambda name: name != history.metric)
    panels = [("loss", losses)] if losses else []
    panels += [(words.metric_label(name), {words.metric_label(name): metrics[name]}) for name in ordered[:SHOWN_METRICS]]
    for place, (measure, curves) in enumerate(panels):
        picture = charts.learning_curves(f"{node}-{place}", measure, curves, history.best_epoch)
        yield Chart.of(f"{node}: {measure}", picture)


def index_blocks(facts: Json) -> list[Block]:
    """How much of the exact index's answer the fast one finds."""
    kinds = {"brute_force": "brute force", "tree_ah": "tree + asymmetric hashing"}
    queries = f"{words.count(facts['query_count'])} queries"
    tiles = [
        Tile("Kind", kinds.get(facts["kind"], str(facts["kind"]))),
        Tile("Items", words.count(facts["item_count"]), f"{facts['dim']} dimensions"),
        Tile("ScaNN", f"{facts['scann_ms_per_query']:.3f} ms", f"a query, in one batch of {queries}"),
        Tile("Exact search", f"{facts['exact_ms_per_query']:.3f} ms", "a query, in the same batch"),
    ]
    picture = charts.index_recall("index", facts["recall_at_100"], facts["min_recall"])
    return [Tiles(tiles), Charts([Chart.of(f"Recall@100 is {facts['recall_at_100']:.4f}", picture)])]


def ranking_blocks(ranking: RankingEvaluation) -> list[Block]:
    """TFMA's metrics of the ranker, by slice."""
    blocks: list[Block] = [Notice(failure, "bad") for failure in ranking.failures[:10]]
    if not ranking.failures:
        blocks.append(Notice("Every threshold is met.", "good"))
    return [*blocks, Charts(list(_ranking_charts(ranking))), _ranking_table(ranking)]


def _ranking_charts(ranking: RankingEvaluation) -> Iterator[Chart]:
    of_all = next((each for each in ranking.slices if not each.label), None)
    tasks = list(dict.fromkeys(task for each in ranking.slices for task in each.metrics))
    for place, task in enumerate(tasks):
        rows = [
            (each.label, each.example_count, each.metrics[task]["auc"])
            for each in sorted(ranking.slices, key=lambda each: -each.example_count)
            if each.label and words.is_finite(each.metrics.get(task, {}).get("auc"))
        ]
        if not rows:
            continue
        kept = sorted(rows[:SHOWN_SLICES], key=lambda row: -row[2])
        overall = of_all.metrics.get(task, {}).get("auc") if of_all else None
        name = words.shortened(task) or "the ranker"
        note = f"… and {len(rows) - len(kept)} smaller slices" if len(rows) > len(kept) else ""
        picture = charts.ranking_slices(f"ranking-{place}", f"AUC of {name}", kept, overall)
        yield Chart.of(f"AUC of {name} by slice", picture, f"In brackets: samples. {note}".strip())


def _ranking_table(ranking: RankingEvaluation) -> Table:
    columns = list(
        dict.fromkeys((task, metric) for each in ranking.slices for task in each.metrics for metric in each.metrics[task])
    )
    rows = [
        [
            Cell(each.label or "all samples", "" if each.label else "strong"),
            Cell(words.count(each.example_count)),
            *(Cell(words.decimal(each.metrics.get(task, {}).get(metric))) for task, metric in columns),
        ]
        for each in sorted(ranking.slices, key=lambda each: (bool(each.label), each.label))
    ]
    names = [f"{metric.replace('_', ' ')} {task}".strip() for task, metric in columns]
    return Table.of("All slices", ["Slice", "Samples", *names], rows, folded=True, limit=100)
