"""Find the files of a table and read them as Arrow batches."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
LONGEST_HEADER_CHARS = 1 << 20
ADVICE = {
    FileFormat.CSV: "check {key}.format, {key}.delimiter and {key}.quote",
    FileFormat.JSON_LINES: "wanted one object a line, and a key of one type in all of them; check {key}.format",
    FileFormat.PARQUET: "check {key}.format, or write the file again",
}


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
        files = sorted(_files_in(path))
    elif "*" in path.name:
        files = sorted(path.parent.glob(path.name))
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise DataError(f"{key}.path: found no file at {path}; wanted a file, a folder of files, or a pattern with *")
    return files


def _files_in(folder: Path) -> Iterator[Path]:
    """The folder's files and those of its partitions (``day=2026-01-31/``), hidden ones left out."""
    for each in folder.iterdir():
        if each.name.startswith((".", "_")):
            continue
        if each.is_dir() and "=" in each.name:
            yield from _files_in(each)
        elif each.is_file():
            yield each


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
        metadata = _opened(path, key, table.format, partial(pq.ParquetFile, path)).metadata
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
    """Batches of ``columns``, each with the number of the file's well-formed rows before it.

    Args:
      columns: pairs of a config key and the column that it names; a column may be named twice.
      on_bad_row: called with number (from 1, malformed rows counted, the header not), text and reason of a CSV row that
        has too few or too many fields, before the batch that the row's neighbours are in.

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
            if batch.schema.names.count(column) != 1:
                raise _no_column(table, key, part.path, config_key, column, batch.schema.names)
        yield row, _plain(batch.select(wanted))
        row += batch.num_rows


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its dictionary-encoded columns spelt out."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).dictionary_decode())
    return batch


def _no_column(table: TableConfig, key: str, path: Path, config_key: str, column: str, found: Sequence[str]) -> DataError:
    if column in found:
        return DataError(f"{path}: {config_key} names the column {column!r}, which is there {found.count(column)} times")
    hint = ""
    if table.format is FileFormat.CSV and len(found) == 1:
        hint = f", the only one when the lines are cut at {table.delimiter!r}: check {key}.delimiter"
    return DataError(
        f"{path}: {config_key} names the column {column!r}, which is not there; found {', '.join(map(repr, found))[:500]}{hint}"
    )


def _read_csv(
    table: TableConfig, key: str, path: Path, on_bad_row: Callable[[int, str, str], None]
) -> Iterator[pa.RecordBatch]:
    names = csv_header(table, key, path)

    def skip(row: pacsv.InvalidRow) -> str:
        on_bad_row(row.number - 1, row.text, f"found {row.actual_columns} fields, wanted {row.expected_columns}")
        return "skip"

    # Everything is read as text, so that a bad value is one rejected row and not the end of the run; by one thread,
    # since only then are rows numbered.
    reader = _opened(
        path,
        key,
        table.format,
        lambda: pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(block_size=BYTES_PER_BLOCK, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=table.delimiter,
                quote_char=table.quote if table.quote is not None else False,
                newlines_in_values=table.quote is not None,
                invalid_row_handler=skip,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        ),
    )
    yield from _guarded(path, key, table.format, reader)


def csv_header(table: TableConfig, key: str, path: Path) -> list[str]:
    """The names in a CSV file's first line."""
    try:
        with pa.input_stream(path) as opened:  # which decompresses .gz and the like, as the reader of the rows does
            line = io.TextIOWrapper(opened, encoding="utf-8-sig", newline="").readline(LONGEST_HEADER_CHARS)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} ({key}): cannot be read as UTF-8 CSV: {error}; check {key}.format") from error
    if not line:
        raise DataError(f"{path} ({key}): is empty; wanted a CSV file whose first line names its columns")
    return split_fields([line.rstrip("\r\n")], table.delimiter, table.quote)[0]


def split_fields(lines: Iterable[str], delimiter: str, quote: str | None) -> list[list[str]]:
    """The fields of lines of CSV; ``quote`` None: quotes mean nothing."""
    if quote is None:
        return list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return list(csv.reader(lines, delimiter=delimiter, quotechar=quote))


def _read_json_lines(key: str, path: Path) -> Iterator[pa.RecordBatch]:
    options = pajson.ReadOptions(block_size=BYTES_PER_BLOCK)
    table = _opened(path, key, FileFormat.JSON_LINES, lambda: pajson.read_json(path, read_options=options))
    yield from table.to_batches(max_chunksize=ROWS_PER_BATCH)


def _read_row_group(key: str, part: Part) -> Iterator[pa.RecordBatch]:
    file = _opened(part.path, key, FileFormat.PARQUET, lambda: pq.ParquetFile(part.path))
    batches = file.iter_batches(ROWS_PER_BATCH, row_groups=[part.row_group])
    yield from _guarded(part.path, key, FileFormat.PARQUET, batches)


def _opened(path: Path, key: str, format: FileFormat, open_it: Callable[[], Any]) -> Any:
    try:
        return open_it()
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, key, format, error) from error


def _guarded(path: Path, key: str, format: FileFormat, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, key, format, error) from error


def unreadable(path: Path, key: str, format: FileFormat, error: Exception) -> DataError:
    """The error of a file that is not of the format that its config says."""
    return DataError(f"{path}: cannot be read as {format} ({error}); {ADVICE[format].format(key=key)}")
