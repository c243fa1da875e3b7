"""The top of the page: is the run good?"""

from dataclasses import dataclass

from components.report import charts, words
from components.report.blocks import Block, Cell, Chart, Charts, Notice, Table, Tile, Tiles, Tone, absence
from components.report.record import Json, NodeState, RunRecord

HEADLINE = "ndcg@10"


@dataclass(frozen=True)
class Banner:
    tone: Tone
    title: str
    reasons: list[str]


def banner(record: RunRecord) -> Banner:
    """Published or not, and why not."""
    release = record.release
    if release and release["pushed"]:
        return Banner("good", f"Release {release['version']} is published", ["Every gate agreed."])
    if release:
        return Banner("bad", "Not published", list(release["reasons"]))
    reasons = _failed_checks(record.evaluation)
    if record.failed:
        return Banner("bad", f"The run stopped at {record.failed}, so nothing is published", reasons)
    running = next((node.node for node in record.nodes if node.state is NodeState.RUNNING), None)
    if running:
        return Banner("warn", f"The run has not ended: {running} is at work", reasons)
    return Banner("warn", "The run ended before the Pusher, so nothing is published", reasons)


def _failed_checks(evaluation: Json | None) -> list[str]:
    checks = evaluation["verdict"]["checks"] if evaluation else []
    return [check["sentence"] for check in checks if not check["passed"]]


def verdict_blocks(record: RunRecord) -> list[Block]:
    """Figures at one look, the headline metric beside the baselines, and every check of the gate."""
    blocks: list[Block] = [Tiles(_tiles(record))]
    if record.evaluation is None:
        blocks.append(absence(record, "FunnelEvaluator"))
    else:
        blocks.append(Charts([_headline(record.evaluation), _checks(record.evaluation)]))
    if record.ranking and record.ranking.failures:
        blocks += [Notice(f"TFMA: {failure}", "bad") for failure in record.ranking.failures]
    return blocks


def _tiles(record: RunRecord) -> list[Tile]:
    tiles = []
    if record.evaluation and "funnel" in record.evaluation["metrics"]:
        tiles += _quality_tiles(record.evaluation)
    if record.index:
        reached = record.index["recall_at_100"] >= record.index["min_recall"]
        note = f"gate {record.index['min_recall']:g}"
        tone: Tone = "good" if reached else "bad"
        tiles.append(Tile("Index recall@100", words.decimal(record.index["recall_at_100"], 3), note, tone))
    if record.data:
        note = f"{words.count(record.data.item_count)} items"
        tiles.append(Tile("Events", words.compact(record.data.log.event_count), note))
    tiles.append(Tile("Time of the run", words.duration(wall_seconds(record)), f"{len(record.nodes)} nodes"))
    return tiles


def _quality_tiles(evaluation: Json) -> list[Tile]:
    metrics = evaluation["metrics"]
    value = metrics["funnel"][HEADLINE]
    interval = evaluation["intervals"].get("funnel", {}).get(HEADLINE)
    note = f"95 %: {interval['low']:.4f} to {interval['high']:.4f}" if interval else ""
    tiles = [Tile("NDCG@10", words.decimal(value), note, "strong")]
    others = {system: found[HEADLINE] for system, found in metrics.items() if system not in ("funnel", "last_release")}
    compared = {"last_release": metrics["last_release"][HEADLINE]} if "last_release" in metrics else {}
    if others:
        best = max(others, key=others.__getitem__)
        compared[best] = others[best]
    for system, reference in compared.items():
        difference = evaluation["differences"].get(system)
        if difference and reference > 0:
            name = "Against the last release" if system == "last_release" else f"Against {words.system_label(system)}"
            tiles.append(Tile(name, words.change(value / reference - 1), reading(difference), tone_of(difference)))
    deep = deepest_recall(metrics["funnel"])
    if deep:
        tiles.append(Tile(words.metric_label(deep), words.decimal(metrics["funnel"][deep], 3), "of the wanted items"))
    return tiles


def deepest_recall(metrics: Json) -> str | None:
    """recall@100, if 100 is the longest list that was judged."""
    return max((name for name in metrics if name.startswith("recall@")), key=lambda name: int(name[7:]), default=None)


def reading(difference: Json) -> str:
    """What a paired interval says, in words."""
    if difference["low"] > 0:
        return "better, beyond chance"
    return "worse, beyond chance" if difference["high"] < 0 else "no clear difference"


def tone_of(difference: Json) -> Tone:
    return "good" if difference["low"] > 0 else "bad" if difference["high"] < 0 else "warn"


def wall_seconds(record: RunRecord) -> float:
    started = [node.started_ms for node in record.nodes if node.started_ms]
    ended = [node.ended_ms for node in record.nodes if node.ended_ms]
    return (max(ended) - min(started)) / 1000 if started and ended else 0.0


def _headline(evaluation: Json) -> Chart:
    values = {
        system: found[HEADLINE] for system, found in evaluation["metrics"].items() if words.is_finite(found.get(HEADLINE))
    }
    found = {system: each[HEADLINE] for system, each in evaluation["intervals"].items() if HEADLINE in each}
    intervals = {system: (each["low"], each["high"]) for system, each in found.items() if system in values}
    note = (
        f"How near the top of the list the next item stands; 1 is always first. {words.count(evaluation['query_count'])} "
        "test moments, ranked over the whole catalogue; black lines: 95 % bootstrap intervals."
    )
    return Chart.of("NDCG@10 beside the baselines", charts.system_bars("headline", "NDCG@10", values, intervals), note)


def _checks(evaluation: Json) -> Table:
    checks = sorted(evaluation["verdict"]["checks"], key=lambda check: bool(check["passed"]))
    rows = [[Cell("passed", "good") if each["passed"] else Cell("failed", "bad"), Cell(each["sentence"])] for each in checks]
    return Table.of("What the gate checked", ["Check", "Why"], rows, text_columns=2, limit=12)
