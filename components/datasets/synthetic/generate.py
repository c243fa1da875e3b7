"""Write a simulated world to a folder, whole or not at all."""

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.datasets.synthetic.config import SyntheticConfig
from components.datasets.synthetic.simulate import simulate
from components.datasets.synthetic.tables import (
    EVENTS_SCHEMA,
    TRUTH_SCHEMA,
    events_table,
    items_table,
    truth_table,
    users_table,
)
from components.datasets.synthetic.world import make_world
from components.errors import DataError

CONFIG_FILE = "config.json"
ROWS_PER_PART = 1_000_000
ROWS_PER_GROUP = 131_072
ROWS_PER_PROGRESS = 1_000_000
# A dictionary does not pay for columns that differ in nearly every row.
FEW_VALUED = {"user_id", "item_id", "type", "position", "device"}


class PartWriter:
    """Parquet files ``part-00000.parquet``, ... in a folder, a new one after at least `ROWS_PER_PART` rows.

    Holds back up to `ROWS_PER_GROUP` rows, so that a slow hour does not make a small row group.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pa.RecordBatch] = []
        self._held_count = self._part_count = self._part_row_count = 0
        folder.mkdir(parents=True)

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._held_count += batch.num_rows
        if self._held_count >= ROWS_PER_GROUP:
            self._flush()
        if self._part_row_count >= ROWS_PER_PART:
            self.close()

    def close(self) -> None:
        """Write what is held back and end the part."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._part_count += 1
            self._part_row_count = 0

    def _flush(self) -> None:
        if not self._held:
            return
        if self._writer is None:
            part = self._folder / f"part-{self._part_count:05d}.parquet"
            dictionary = [name for name in self._schema.names if name in FEW_VALUED]
            self._writer = pq.ParquetWriter(
                part, self._schema, compression="zstd", compression_level=1, use_dictionary=dictionary
            )
        self._writer.write_table(pa.Table.from_batches(self._held))
        self._part_row_count += self._held_count
        self._held, self._held_count = [], 0


def generate(config: SyntheticConfig, output: Path, progress: Callable[[str], None]) -> Path:
    """Simulate a world into the folder ``output`` and return it; do nothing if the same one is there already.

    The folder appears by one rename, with ``events/part-*.parquet`` (in the order of time, but for a click up to two
    minutes), ``items.parquet``, ``users.parquet``, ``config.json``, and
    ``truth/part-*.parquet`` if the config asks for it; `components.datasets.synthetic.tables` has the columns.

    Equal configs give equal rows with equal versions of numpy on equal processors.

    Args:
      config: size and seed.
      output: the folder to make; its parents are made too.
      progress: receives a line at the start, every million rows, and at the end.

    Raises:
      DataError: ``output`` holds something else, or cannot be written.
    """
    wanted = json.dumps(config.to_dict(), indent=2)
    if output.exists():
        if config_text(output) == wanted:
            progress(f"{output}: the same simulation is there")
            return output
        raise DataError(f"{output}: found something there that is not this simulation; remove it or choose another folder")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
            whole = Path(folder, "whole")
            _write(config, whole, progress)
            (whole / CONFIG_FILE).write_text(wanted)
            whole.rename(output)
    except OSError as error:
        raise DataError(f"{output}: cannot write there: {error}; free space or choose another folder") from error
    progress(f"{output}: {config.events:,} events of {config.user_count:,} users and {config.item_count:,} items")
    return output


def _write(config: SyntheticConfig, folder: Path, progress: Callable[[str], None]) -> None:
    progress(f"making {config.user_count:,} users and {config.item_count:,} items")
    world = make_world(config)
    written = 0
    with ExitStack() as writers:
        events = writers.enter_context(closing(PartWriter(folder / "events", EVENTS_SCHEMA)))
        if config.with_truth:
            truth = writers.enter_context(closing(PartWriter(folder / "truth", TRUTH_SCHEMA)))
        for block in simulate(world):
            events.write(events_table(world, block))
            if config.with_truth:
                truth.write(truth_table(world, block))
            if written // ROWS_PER_PROGRESS < (written + len(block)) // ROWS_PER_PROGRESS:
                progress(f"{written + len(block):,} of {config.events:,} events")
            written += len(block)
    pq.write_table(items_table(world), folder / "items.parquet")
    pq.write_table(users_table(world), folder / "users.parquet")


def config_text(folder: Path) -> str | None:
    """Of the simulation in the folder, as ``SyntheticConfig.to_dict`` has given it; None where there is none."""
    file = folder / CONFIG_FILE
    return file.read_text() if file.is_file() else None
