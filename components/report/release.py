"""How the run went by, and what it leaves for serving."""

import shlex
from pathlib import PurePath

from components.report import charts, words
from components.report.blocks import Block, Cell, Chart, Charts, Commands, Notice, Table, Tile, Tiles, Tone, absence
from components.report.record import Json, NodeState, RunRecord
from components.report.verdict import wall_seconds

TONES: dict[NodeState, Tone] = {NodeState.FAILED: "bad", NodeState.RUNNING: "warn", NodeState.COMPLETE: "good"}


def timing_blocks(record: RunRecord) -> list[Block]:
    """Seconds of each node."""
    reused = sum(node.state is NodeState.CACHED for node in record.nodes)
    tiles = [
        Tile("From start to end", words.duration(wall_seconds(record))),
        Tile("Nodes run", words.count(len(record.nodes) - reused)),
        Tile("Nodes reused", words.count(reused), "nothing they depend on had changed"),
    ]
    rows = [(node.node, node.seconds, node.state.value) for node in record.nodes]
    table = [
        [Cell(node.node), Cell(node.state, TONES.get(node.state, "")),
         Cell(words.utc_second(node.started_ms) if node.started_ms else words.ABSENT),
         Cell(words.ABSENT if node.state is NodeState.CACHED else words.duration(node.seconds))]
        for node in record.nodes
    ]  # fmt: skip
    return [
        Tiles(tiles),
        Charts(
            [
                Chart.of("Time of each node", charts.timings("timings", rows), "In the order in which they began."),
                Table.of("All nodes", ["Node", "State", "Began, UTC", "Took"], table, text_columns=3),
            ]
        ),
    ]


def release_blocks(record: RunRecord) -> list[Block]:
    """The bundle, the server's check of it, the precomputed lists, and the commands to go on with."""
    blocks: list[Block] = []
    if record.release is None:
        blocks.append(absence(record, "Pusher"))
    elif record.release["pushed"]:
        manifest = str(PurePath(record.release["path"]) / "manifest.json")
        rows = [["Version", str(record.release["version"])], ["Manifest", manifest]]
        blocks.append(Table.of("Release", ["What", "Where"], rows, text_columns=2))
    else:
        blocks.append(Notice("This run published nothing; an earlier release, if there is one, stays in service.", "warn"))
    blocks += _check_blocks(record.check) if record.check else [absence(record, "InfraValidator")]
    blocks.append(_lists_notice(record.lists) if record.lists else absence(record, "BulkRecommender"))
    if not (record.release and record.release["pushed"]):
        return blocks
    workdir = shlex.quote(record.workdir)
    commands = [
        ("Serve the published models over REST and gRPC", f"winnow serve --workdir {workdir}"),
        ("Ask for one user's list", f"winnow query --workdir {workdir}"),
        ("Ask the server that runs", f"winnow query --workdir {workdir} --url http://127.0.0.1:8501"),
    ]
    return [*blocks, Commands(commands)]


def _check_blocks(check: Json) -> list[Block]:
    if not check["passed"]:
        return [Notice(f"A real server did not answer from these models: {check['reason']}", "bad"), *_requests(check)]
    return [Notice("A real server process loaded these models and answered every request.", "good"), *_requests(check)]


def _requests(check: Json) -> list[Block]:
    rows = [
        [Cell(each["name"]), Cell("ok" if each["ok"] else "failed", "good" if each["ok"] else "bad"),
         Cell(words.shortened(each["detail"], 200)), Cell(f"{each['latency_ms']:.1f}")]
        for each in check["requests"]
    ]  # fmt: skip
    columns = ["Request", "Answer", "Detail", "Latency, ms"]
    return [Table.of("Requests of the server check", columns, rows, text_columns=3, folded=True)] if rows else []


def _lists_notice(lists: Json) -> Notice:
    if not lists["user_count"]:
        return Notice("No lists are computed ahead: bulk.users is not set to all.")
    each = f"{words.count(lists['user_count'])} users, {lists['list_length']} items each"
    return Notice(f"Lists computed ahead: {each}, in {words.duration(lists['seconds'])}.")
