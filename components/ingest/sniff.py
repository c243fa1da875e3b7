"""Find out how a file is written, from its first bytes and lines, and read a sample of it."""

import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from components.config.dataset import FileFormat, TableConfig
from components.errors import DataError
from components.ingest.files import Part, csv_header, read_part, split_fields, table_files, unreadable
from components.ingest.guess_columns import Column

SAMPLE_ROWS = 20_000
SNIFFED_LINES = 200
DELIMITERS = ("\t", ",", ";", "|")
EXTENSIONS = {
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".jsonl": FileFormat.JSON_LINES,
    ".ndjson": FileFormat.JSON_LINES,
}
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Sample:
    """The first rows of a table, and how its files are written.

    Attributes:
      path: as asked for: a file, a folder or a pattern.
      file: the file that was looked at.
      whole: whether the sample is all there is.
    """

    path: Path
    file: Path
    format: FileFormat
    delimiter: str
    quote: str | None
    rows: pa.Table
    whole: bool

    def columns(self) -> list[Column]:
        return [Column(name, self.rows.column(name).combine_chunks()) for name in self.rows.column_names]


def read_sample(path: Path, key: str) -> Sample:
    """The first ``SAMPLE_ROWS`` rows of the table at ``path``; ``key`` names the table in errors.

    Raises:
      DataError: there is no file, it is no text and no Parquet, or it has no header or no rows.
    """
    files = table_files(TableConfig(path=path), key)
    file = files[0]
    format = _format(file, key)
    delimiter: str = ","
    quote: str | None = '"'
    if format is FileFormat.PARQUET:
        rows, more = _parquet(file, key)
    elif format is FileFormat.JSON_LINES:
        rows, more = _json_lines(file, key)
    else:
        delimiter, quote = sniff_csv(_lines(file, key))
        rows, more = _csv(file, key, delimiter, quote)
    if not rows.num_rows:
        raise DataError(f"{file} ({key}): holds no rows; wanted at least one, to see what its columns are")
    return Sample(path, file, format, delimiter, quote, rows, not more and len(files) == 1)


def sniff_csv(lines: list[str]) -> tuple[str, str | None]:
    """The delimiter under which the lines have as many fields as the header, and the quote (None: none is used)."""
    best: tuple[float, int] = (0.0, 0)
    found: tuple[str, str | None] = (",", '"')
    for delimiter in DELIMITERS:
        quote = _quote(lines, delimiter)
        parsed = [row for row in split_fields(lines, delimiter, quote) if row]
        width = len(parsed[0]) if parsed else 0
        if width < 2:
            continue
        score = (round(sum(len(row) == width for row in parsed) / len(parsed), 1), width)
        if score > best:
            best, found = score, (delimiter, quote)
    return found


def _quote(lines: list[str], delimiter: str) -> str | None:
    """The character around whole fields; of single quotes, only if they are everywhere: they are apostrophes too."""
    edge = re.escape(delimiter)
    counts: Counter[str] = Counter()
    for line in lines:
        for mark in ('"', "'"):
            field = rf"(?:^|{edge}){mark}(?:[^{mark}]|{mark}{mark})*{mark}(?={edge}|$)"
            counts[mark] += bool(re.search(field, line.rstrip("\r\n")))
    if counts['"']:
        return '"'
    if counts["'"] > len(lines) / 2:
        return "'"
    stray = any('"' in line for line in lines)
    return None if stray or delimiter == "\t" else '"'


def _format(file: Path, key: str) -> FileFormat:
    """By extension, else by content."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    known = [EXTENSIONS[suffix] for suffix in suffixes[-2:] if suffix in EXTENSIONS]  # events.csv.gz
    if known:
        return known[-1]
    with file.open("rb") as opened:
        if opened.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC:
            return FileFormat.PARQUET
    first = next((line for line in _lines(file, key) if line.strip()), "")
    return FileFormat.JSON_LINES if first.lstrip().startswith("{") else FileFormat.CSV


def _lines(file: Path, key: str, count: int = SNIFFED_LINES) -> list[str]:
    try:
        with pa.input_stream(file) as opened:
            lines = list(islice(io.TextIOWrapper(opened, encoding="utf-8-sig", newline=""), count))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} ({key}): cannot be read as text ({error}); wanted CSV, TSV or JSON lines in UTF-8, or Parquet"
        ) from error
    if any("\0" in line for line in lines):
        raise DataError(f"{file} ({key}): holds binary data; wanted CSV, TSV or JSON lines in UTF-8, or Parquet")
    return lines


def _csv(file: Path, key: str, delimiter: str, quote: str | None) -> tuple[pa.Table, bool]:
    table = TableConfig(path=file, delimiter=delimiter, quote=quote)
    header = csv_header(table, key, file)
    if all(re.fullmatch(r"[\d.:+-]*", name) for name in header):
        raise DataError(
            f"{file} ({key}): its first line is {delimiter.join(header)[:80]!r}, which looks like data; "
            "wanted a header that names the columns: add one"
        )
    columns = [(key, name) for name in header]
    batches: list[pa.RecordBatch] = []
    for first_row, batch in read_part(table, key, Part(file, None, 0), columns, lambda *_: None):
        batches.append(batch)
        if first_row + batch.num_rows > SAMPLE_ROWS:
            break
    rows = pa.Table.from_batches(batches, batches[0].schema) if batches else pa.table({name: [] for name in header})
    return rows.slice(0, SAMPLE_ROWS), rows.num_rows > SAMPLE_ROWS


def _json_lines(file: Path, key: str) -> tuple[pa.Table, bool]:
    lines = _lines(file, key, SAMPLE_ROWS + 1)
    text = "".join(lines[:SAMPLE_ROWS]).encode()
    if not text.strip():
        raise DataError(f"{file} ({key}): is empty; wanted one JSON object a line")
    try:
        return pajson.read_json(pa.BufferReader(text)), len(lines) > SAMPLE_ROWS
    except pa.ArrowException as error:
        raise unreadable(file, key, FileFormat.JSON_LINES, error) from error


def _parquet(file: Path, key: str) -> tuple[pa.Table, bool]:
    try:
        opened = pq.ParquetFile(file)
        batch = next(opened.iter_batches(SAMPLE_ROWS), None)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, key, FileFormat.PARQUET, error) from error
    rows = pa.Table.from_batches([batch]) if batch is not None else opened.schema_arrow.empty_table()
    return rows, opened.metadata.num_rows > rows.num_rows
