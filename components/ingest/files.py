"""Find the files of a table and read them as Arrow batches."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq

from components.config.dataset import FileFormat, TableConfig
from components.errors import DataError

ROWS_PER_BATCH = 1 << 17
BYTES_PER_BLOCK = 8 << 20


@dataclass(frozen=True)
class Part:
    """A piece of a table that one worker reads: a whole file, or one row group of a Parquet file."""

    path: Path
    row_group: int | None
    first_row: int  # rows of the file before this part


def table_files(table: TableConfig, key: str) -> list[Path]:
    """The files that ``table.path`` names; ``key`` is its place in the config, for errors.

    Raises:
      DataError: there is no such file.
    """
    path = table.path
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith((".", "_")))
    elif "*" in path.name:
        files = sorted(path.parent.glob(path.name))
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise DataError(f"{key}.path: found no file at {path}; wanted a file, a folder of files, or a pattern with *")
    return files


def fingerprint(files: Sequence[Path]) -> str:
    """A digest that changes when a file does: names, sizes and times of change, so that it costs nothing."""
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        digest.update(f"{path.name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def parts(table: TableConfig, key: str) -> list[Part]:
    """The table's files, cut into pieces that can be read beside each other."""
    found: list[Part] = []
    for path in table_files(table, key):
        if table.format is not FileFormat.PARQUET:
            found.append(Part(path, None, 0))
            continue
        metadata = _opened(path, key, lambda path=path: pq.ParquetFile(path)).metadata
        first = 0
        for group in range(metadata.num_row_groups):
            found.append(Part(path, group, first))
            first += metadata.row_group(group).num_rows
    return found


def read_part(
    table: TableConfig,
    key: str,
    part: Part,
    columns: Sequence[tuple[str, str]],
    on_bad_row: Callable[[int, str, str], None],
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of ``columns``, each with the number of the file's (well-formed) rows before it.

    Args:
      columns: pairs of a config key and the column that it names; a column may be named twice.
      on_bad_row: called with number, text and reason of a CSV row that has too few or too many fields.

    Raises:
      DataError: the file cannot be read as its format, or lacks a column.
    """
    wanted = list(dict.fromkeys(column for _, column in columns))
    if table.format is FileFormat.CSV:
        batches = _read_csv(table, key, part.path, on_bad_row)
    elif table.format is FileFormat.JSON_LINES:
        batches = _read_json_lines(key, part.path)
    else:
        batches = _read_row_group(key, part)
    row = part.first_row
    for batch in batches:
        for config_key, column in columns:
            if column not in batch.schema.names:
                raise DataError(
                    f"{part.path}: {config_key} names the column {column!r}, which is not there; "
                    f"found {', '.join(map(repr, batch.schema.names))}"
                )
        yield row, batch.select(wanted)
        row += batch.num_rows


def _read_csv(
    table: TableConfig, key: str, path: Path, on_bad_row: Callable[[int, str, str], None]
) -> Iterator[pa.RecordBatch]:
    names = csv_header(table, key, path)

    def skip(row: pacsv.InvalidRow) -> str:
        on_bad_row(row.number or 0, row.text, f"found {row.actual_columns} fields, wanted {row.expected_columns}")
        return "skip"

    # Everything is read as text, so that a bad value is one rejected row and not the end of the run.
    reader = _opened(
        path,
        key,
        lambda: pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=BYTES_PER_BLOCK, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=table.delimiter,
                quote_char=table.quote if table.quote is not None else False,
                invalid_row_handler=skip,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        ),
    )
    yield from _guarded(path, key, reader)


def csv_header(table: TableConfig, key: str, path: Path) -> list[str]:
    """The names in a CSV file's first line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} ({key}): cannot be read as UTF-8 CSV: {error}") from error
    if not line:
        raise DataError(f"{path} ({key}): is empty; wanted a CSV file whose first line names its columns")
    quote = table.quote or ""
    return [name.strip(quote) if quote else name for name in line.split(table.delimiter)]


def _read_json_lines(key: str, path: Path) -> Iterator[pa.RecordBatch]:
    table = _opened(
        path, key, lambda: pajson.read_json(path, read_options=pajson.ReadOptions(block_size=BYTES_PER_BLOCK))
    )
    yield from table.to_batches(max_chunksize=ROWS_PER_BATCH)


def _read_row_group(key: str, part: Part) -> Iterator[pa.RecordBatch]:
    file = _opened(part.path, key, lambda: pq.ParquetFile(part.path))
    yield from _guarded(part.path, key, file.iter_batches(ROWS_PER_BATCH, row_groups=[part.row_group]))


def _opened(path: Path, key: str, open_it: Callable[[], Any]) -> Any:
    try:
        return open_it()
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, key, error) from error


def _guarded(path: Path, key: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, key, error) from error


def _unreadable(path: Path, key: str, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read with {key}'s format and delimiter: {error}")
