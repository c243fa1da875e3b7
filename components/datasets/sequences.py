"""Interactions in the form of the sequential-recommendation papers: who had what, in order, and no moments.

Two forms: ``user item`` on each line, a user's lines in order (as SASRec's files), or ``user item item …``, a user a line (as
S3-Rec's).
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.errors import DataError

EVENTS_FILE, ITEMS_FILE = "events.parquet", "items.parquet"
FIRST_S = 946_684_800  # 2000-01-01 UTC: a user's first event; the others follow a second apart
ROWS_PER_WRITE = 1 << 20


def convert(sequences: Path, attributes: Path | None, output: Path, progress: Callable[[str], None]) -> Path:
    """Write events, with made-up moments that keep their order, and items, and return the folder, which appears by one rename.

    Args:
      sequences: text, in either form.
      attributes: JSON, item → list of its attributes.

    Raises:
      DataError: a line has no item, or a file is not of its form.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        whole = Path(scratch, "whole")
        whole.mkdir()
        said = _write(sequences, attributes, whole)
        whole.rename(output)
    progress(said)
    return output


def _write(sequences: Path, attributes: Path | None, output: Path) -> str:
    """Both tables; how much there is in them."""
    known = _attributes(attributes)
    schema = pa.schema({"user_id": pa.string(), "item_id": pa.string(), "timestamp": pa.int64()})
    seen: dict[str, None] = {}
    counts: dict[str, int] = {}
    rows = 0
    with pq.ParquetWriter(output / EVENTS_FILE, schema, compression="zstd") as writer:
        for users, items in _blocks(sequences):
            moments = []
            for user in users:
                counts[user] = counts.get(user, -1) + 1
                moments.append(FIRST_S + counts[user])
            seen |= dict.fromkeys(items)
            writer.write_table(pa.table([users, items, moments], schema=schema))
            rows += len(users)
    listed = pa.array([known.get(item, []) for item in seen], pa.list_(pa.string()))
    pq.write_table(pa.table({"item_id": list(seen), "attributes": listed}), output / ITEMS_FILE, compression="zstd")
    return f"{rows:,} interactions of {len(counts):,} users with {len(seen):,} items"


def _blocks(file: Path) -> Iterator[tuple[list[str], list[str]]]:
    users: list[str] = []
    items: list[str] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            user, *had = line.split() or [""]
            if not had:
                raise DataError(f"{file}: line {number}: found {line.strip()!r}, wanted a user and items, by spaces")
            users += [user] * len(had)
            items += had
            if len(users) >= ROWS_PER_WRITE:
                yield users, items
                users, items = [], []
    yield users, items


def _attributes(file: Path | None) -> dict[str, list[str]]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_bytes())
        return {str(item): [str(each) for each in attributes] for item, attributes in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{file}: found no JSON object of lists, wanted item → list of attributes ({error})") from error
