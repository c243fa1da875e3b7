"""An online log as its writer makes it, for tests of the stream tier, and what the tier makes of it."""

from pathlib import Path

from components.schema.events import MS_PER_HOUR
from components.schema.trends import Manifest
from pipelines.nearline import StreamTier
from serving.log_writer.command_line import FOLDER
from serving.log_writer.online_log import OnlineLog
from serving.records import EventRecord, Place, ShownRecord

NOW_MS = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC: an hour's first moment
SHOP = {
    "name": "shop",
    "dataset": {
        "events": {
            "path": "events.csv",
            "columns": {"user_id": "user", "item_id": "item", "timestamp": "at", "type": "type", "request_id": "request"},
        },
        "tasks": {"click": {"event": "click"}},
    },
    "samples": {"impressions": "impression"},
}


def event(event_id: str, item: str, moment_ms: int = NOW_MS, type_: str = "click") -> str:
    return EventRecord(event_id=event_id, user_id="u", item_id=item, type=type_, timestamp_ms=moment_ms).model_dump_json()


def shown(request_id: str, *items: str) -> str:
    places = tuple(
        Place(position=place, item_id=item, score=1.0, propensity=1.0, tasks={}, sources=("popular",))
        for place, item in enumerate(items, start=1)
    )
    return ShownRecord(
        request_id=request_id, user_id="u", type="impression", timestamp_ms=NOW_MS, release=1, context={}, places=places,
        fallbacks=(), features={},
    ).model_dump_json()  # fmt: skip


def log(workdir: Path, after_s: float, *records: str) -> None:
    """What the log's writer makes of records that came into the stream so long after ``NOW_MS``."""
    entries = {f"{NOW_MS + int(after_s * 1000)}-{number}": record for number, record in enumerate(records)}
    OnlineLog(workdir / FOLDER).append(entries)


def counted(tier: StreamTier) -> list[Manifest]:
    found = []
    with tier.alone():
        while (manifest := tier.next_batch(tier.pending())) is not None:
            found.append(manifest)
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(workdir: Path) -> None:
    """Three files, of which the second has repeats of the first and the third a late event."""
    log(workdir, 1, event("1", "a"), event("2", "b"), shown("r1", "a", "b"))
    log(workdir, 2, event("2", "b"), event("3", "c", NOW_MS + MS_PER_HOUR))
    log(workdir, 3, event("4", "c", NOW_MS - 5 * MS_PER_HOUR))
