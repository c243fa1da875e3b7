"""``winnow init``: look at a sample of the user's files and write a first config, to be read and corrected by them."""

import os
import re
from pathlib import Path

import pyarrow.compute as pc

from components.config import FeatureKind, FileFormat, parse_config
from components.config.dataset import may_name_feature
from components.errors import DataError
from components.ingest import guess_words as known
from components.ingest.columns import as_id
from components.ingest.guess_columns import Column, Guess, by_name, guess_feature
from components.ingest.guess_events import NEEDED, EventParts, guess_events
from components.ingest.guess_tasks import TaskGuess, guess_tasks
from components.ingest.guess_yaml import YamlLines, config_name, scalar
from components.ingest.sniff import Sample, read_sample

HEADER = (
    "Written by `winnow init` from a look at the first rows. Read it through: the comments say why a line is as it is, "
    "and what else it could be. Every key that is not here has a default."
)


def guess_config(events: Path, items: Path | None, users: Path | None, output: Path, name: str | None = None) -> str:
    """A config for these tables as YAML text, with a comment at each guess that says why.

    Args:
      events, items, users: each a file, a folder of files, or a pattern with * in it.
      output: where the text will be written; paths in it are relative to its folder.
      name: of the pipeline; by default after ``output``.

    Raises:
      DataError: a file cannot be read, or has no column of users, items or times.
    """
    sample = read_sample(events, "dataset.events")
    guess = guess_events(sample)
    folder = output.resolve().parent
    lines = YamlLines()
    lines.remark(0, HEADER)
    lines.add(0, f"name: {scalar(_pipeline_name(name or output.stem))}")
    lines.blank()
    lines.add(0, "dataset:")
    _write_events(lines, sample, guess, folder)
    taken: set[str] = set()
    for part, path, words in (("item", items, known.ITEM), ("user", users, known.USER)):
        if path is not None:
            table = read_sample(path, f"dataset.{part}s")
            _write_table(lines, table, part, _id_column(table, part, words, guess.parts[f"{part}_id"]), folder, taken)
    _write_tasks(lines, guess_tasks(guess.parts))
    text = lines.text()
    parse_config(text, origin=str(output))
    return text


def _pipeline_name(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"x-{plain}")[:63].rstrip("-")


def _write_file(lines: YamlLines, sample: Sample, folder: Path) -> None:
    path = sample.path.resolve()
    try:
        shown = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        shown = str(path)
    lines.add(2, f"path: {scalar(shown)}")
    lines.add(2, f"format: {sample.format}")
    if sample.format is FileFormat.CSV:
        lines.add(2, f"delimiter: {_quoted(sample.delimiter)}", f"cuts {sample.rows.num_columns} columns")
        if sample.quote is None:
            lines.add(2, "quote: null", "no field is in quotes")
        elif sample.quote != '"':
            lines.add(2, f"quote: {_quoted(sample.quote)}", "is around the fields")


def _quoted(mark: str) -> str:
    return {"\t": '"\\t"', '"': "'\"'"}.get(mark, f'"{mark}"')


def _write_events(lines: YamlLines, sample: Sample, guess: EventParts, folder: Path) -> None:
    lines.add(1, "events:")
    _write_file(lines, sample, folder)
    lines.add(2, f"timestamp_unit: {guess.unit}", guess.unit_why)
    lines.add(2, "columns:")
    for part in (*NEEDED, *sorted(set(guess.parts) - set(NEEDED))):
        lines.add(3, f"{part}: {scalar(guess.parts[part].name)}", guess.why[part])
    if guess.context:
        lines.add(2, "context:", "what must be known when a request arrives; remove what is not")
        for column in guess.context:
            lines.add(3, f"{config_name(column.name)}: {{column: {scalar(column.name)}}}", f"{column.distinct} values")
    _write_left_out(lines, guess.left_out)


def _id_column(table: Sample, part: str, words: tuple[str, ...], in_events: Column) -> Column:
    """The column that holds the ids of the events: the one with the most of them, or else by its name."""
    columns = [column for column in table.columns() if column.is_id]
    wanted = pc.unique(as_id(in_events.present, table.file, f"dataset.events.columns.{part}_id"))
    named = by_name(columns, [part, *words])[:1] or [column for column in columns if column.words == ["id"]]
    shares = {}
    for column in columns:
        matched = pc.is_in(wanted, as_id(column.values, table.file, f"dataset.{part}s.id"))
        shares[column.name] = pc.sum(matched).as_py() / len(wanted)
    most = max(shares.values(), default=0)
    if most > 0:  # small numbers match by chance, so that a name counts for something
        return max(columns, key=lambda each: shares[each.name] + (most / 2 if each in named else 0))
    if not named or table.whole:
        raise DataError(
            f"{table.file}: no column has an id of the events' {in_events.name!r} (such as {wanted[0].as_py()!r}); "
            f"found the columns {', '.join(map(repr, table.rows.column_names))}; wanted one with the same ids, written "
            f"alike: text or integers, no decimals. Write the table again, or leave the {part}s out"
        )
    return named[0]


def _write_table(lines: YamlLines, table: Sample, part: str, id_column: Column, folder: Path, taken: set[str]) -> None:
    lines.add(1, f"{part}s:")
    _write_file(lines, table, folder)
    lines.add(2, f"id: {scalar(id_column.name)}", "has the ids of the events")
    pool = [column for column in table.columns() if column.name != id_column.name]
    features: list[tuple[str, Column, Guess]] = []
    left_out: list[tuple[str, str]] = []
    if part == "item":
        titles = [f"{word}_{title}" for title in known.TITLE for word in known.ITEM]
        texts = [column for column in pool if column.is_id and column.numbers is None]
        for title in by_name(texts, [*known.TITLE, *titles])[:1]:
            pool.remove(title)
            lines.add(2, f"title: {scalar(title.name)}", "what is shown to people")
            features.append(("title_words", title, Guess(FeatureKind.TEXT, "the words of the title")))
        for created in [column for column in pool if column.unit and column.has(known.CREATED)][:1]:
            pool.remove(created)
            lines.add(2, f"created: {scalar(created.name)}", "moments: since when the item exists")
            lines.add(2, f"created_unit: {created.unit}")
    for column in pool:
        guess = guess_feature(column, of_people=part == "user")
        if guess.kind is None:
            left_out.append((column.name, guess.why))
        else:
            features.append((config_name(column.name), column, guess))
    if features:
        lines.add(2, "features:")
    for wanted_name, column, guess in features:
        name = _free_name(wanted_name, part, taken)
        fields = [f"column: {scalar(column.name)}", f"kind: {guess.kind}"]
        fields += [f"separator: {_quoted(guess.separator)}"] if guess.separator else []
        fields += [f"timestamp_unit: {guess.unit}"] if guess.unit else []
        lines.add(3, f"{name}: {{{', '.join(fields)}}}", guess.why)
    _write_left_out(lines, left_out)


def _free_name(name: str, part: str, taken: set[str]) -> str:
    """The name, or one like it where it is taken by the samples or by another feature."""
    free = name
    if name in taken or not may_name_feature(name):
        free = f"{part}_{name}"
    number = 2
    while free in taken or not may_name_feature(free):
        free, number = f"{part}_feature_{number}", number + 1
    taken.add(free)
    return free


def _write_left_out(lines: YamlLines, left_out: list[tuple[str, str]]) -> None:
    if left_out:
        lines.remark(2, "Left out:")
    for column, reason in left_out:
        lines.remark(2, f"  {column}: {reason}", hanging="    ")


def _write_tasks(lines: YamlLines, guess: TaskGuess) -> None:
    lines.add(1, "tasks:", "what is to be predicted; recall learns the first one, unless samples.positive names another")
    for task in guess.tasks:
        if not task.possible:
            lines.add(2, f"{task.name}: {task.settings}", task.why)
    for task in guess.tasks:
        if task.possible:
            lines.remark(2, f"also possible: {task.name}: {task.settings} ({task.why})")
    if guess.impressions is None and guess.history_types is None:
        return
    lines.blank()
    lines.add(0, "samples:")
    if guess.impressions is not None:
        lines.add(1, f"impressions: {scalar(guess.impressions)}", guess.why)
    if guess.history_types is not None:
        lines.add(1, f"history_types: [{', '.join(map(scalar, guess.history_types))}]", guess.why)
