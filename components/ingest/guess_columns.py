"""What a column is likely to be, by its name and by its values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config.dataset import FeatureKind
from components.ingest import guess_words as known
from components.ingest.columns import UNITS, is_list, is_text, to_ms, to_number

SURE_SHARE = 0.99  # of the values that must fit
FEW_VALUES = 20
MANY_VALUES = 1000
FEW_INTEGERS = 10
WORDS_OF_TEXT = 3
SEPARATORS = ("|", ";", ",", " ")


@dataclass(frozen=True)
class Guess:
    """What to make of a column: a feature of this kind, or None; and why."""

    kind: FeatureKind | None
    why: str
    separator: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Column:
    name: str
    values: pa.Array

    @cached_property
    def words(self) -> list[str]:
        """The words of the name: ``userId``, ``user_id:token`` and ``User-ID`` are all user, id."""
        plain = self.name.split(":")[0]
        return re.findall(r"[a-z]+|\d+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain).lower())

    @cached_property
    def present(self) -> pa.Array:
        """The values that are there."""
        kept = self.values.drop_null()
        return kept.filter(pc.not_equal(kept, "")) if is_text(kept.type) else kept

    @cached_property
    def distinct(self) -> int:
        return -1 if self.is_nested else int(pc.count_distinct(self.present).as_py())

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """The present values as numbers, None where they are none, or only look so (007 is a code)."""
        kind = self.values.type
        if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or self.is_nested or not len(self.present):
            return None
        if is_text(kind) and pc.any(pc.match_substring_regex(self.present, r"^0\d")).as_py():
            return None
        numbers = to_number(self.present, pa.float64())
        if numbers.null_count > (1 - SURE_SHARE) * len(numbers):
            return None
        return numbers.drop_null().to_numpy()

    @cached_property
    def unit(self) -> str | None:
        """The unit in which the values are moments between 1990 and 2100; None: they are none."""
        if self.is_nested or not len(self.present):
            return None
        for unit in UNITS:
            if to_ms(self.present, unit)[0].null_count <= (1 - SURE_SHARE) * len(self.present):
                return unit
        return None

    @cached_property
    def is_nested(self) -> bool:
        return bool(pa.types.is_nested(self.values.type))

    @cached_property
    def is_id(self) -> bool:
        """Whether the values can be ids: text or integers."""
        return bool(is_text(self.values.type) or pa.types.is_integer(self.values.type)) and len(self.present) > 0

    @cached_property
    def is_named_id(self) -> bool:
        return self.has(known.ID) or (self.words[-1:] != [] and self.words[-1].endswith("id"))

    @cached_property
    def is_whole(self) -> bool:
        return self.numbers is not None and bool(np.all(self.numbers == np.round(self.numbers)))

    def has(self, words: Iterable[str]) -> bool:
        """Whether one of ``words`` is in the name."""
        return not set(self.words).isdisjoint(words)

    def means(self, words: Iterable[str]) -> int | None:
        """The place, in ``words``, of the one that the name consists of, apart from words that say nothing."""
        own = [word for word in self.words if word not in known.NEUTRAL]
        whole = {"_".join(own), "".join(own)}
        for place, word in enumerate(words):
            if whole & {word, f"{word}id", f"{word}ids", f"{word}s"}:
                return place
        return None


def by_name(columns: Iterable[Column], words: Iterable[str]) -> list[Column]:
    """The columns whose names mean one of ``words``, those that mean the earliest of them first."""
    words = tuple(words)
    places = [(column.means(words), column) for column in columns]
    found = [(place, column) for place, column in places if place is not None]
    return [column for _, column in sorted(found, key=lambda each: each[0])]


def guess_feature(column: Column, of_people: bool) -> Guess:
    """The kind of feature that a column of a catalogue makes."""
    kind, count = column.values.type, len(column.present)
    if not count:
        return Guess(None, "it is empty")
    if is_list(kind):
        if pa.types.is_nested(kind.value_type):
            return Guess(None, f"its type is {kind}; wanted lists of plain values")
        return Guess(FeatureKind.MULTI_VALUED, "lists")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return Guess(None, f"its type is {kind}; wanted single values or lists of them")
    if of_people and column.has(known.PERSONAL):
        return Guess(None, "it looks like personal data, which no model needs")
    if column.distinct == 1:
        return Guess(None, "it has the same value in every row")
    if column.unit and (pa.types.is_temporal(kind) or column.unit == "iso8601" or column.has(known.TIME)):
        return Guess(FeatureKind.TIMESTAMP, "moments; the models get the age in days", unit=column.unit)
    if pa.types.is_boolean(kind):
        return Guess(FeatureKind.CATEGORICAL, "true or false")
    if column.numbers is not None and not column.has(known.CODE):
        return _guess_number(column, column.numbers)
    return _guess_text(column)


def _guess_number(column: Column, numbers: NDArray[np.float64]) -> Guess:
    low, high = f"{numbers.min():g}", f"{numbers.max():g}"
    if column.distinct <= FEW_INTEGERS < len(numbers) and column.is_whole:
        return Guess(
            FeatureKind.CATEGORICAL,
            f"{column.distinct} whole numbers, {low} to {high}; or number, if they measure",
        )
    return Guess(FeatureKind.NUMBER, f"{low} to {high}; min and max refuse values outside")


def _guess_text(column: Column) -> Guess:
    texts = column.present.cast(pa.string())
    count = len(texts)
    if pc.mean(pc.starts_with(texts, "[").cast(pa.float64())).as_py() > SURE_SHARE:
        return Guess(None, "lists written as text; wanted a|b|c, or lists in JSON lines or Parquet")
    if pc.mean(pc.match_substring_regex(texts, r"^-?\d+,\d+$").cast(pa.float64())).as_py() > SURE_SHARE:
        return Guess(None, "numbers with a decimal comma; wanted a decimal point")
    separator = _separator(texts, column.distinct)
    if separator is not None:
        return Guess(FeatureKind.MULTI_VALUED, f"values cut at {separator!r}", separator=separator)
    if column.distinct <= max(FEW_VALUES, min(MANY_VALUES, count // 2)):
        example = texts[0].as_py()
        return Guess(FeatureKind.CATEGORICAL, f"{column.distinct} values, such as {example[:40]!r}")
    if pc.mean(pc.count_substring_regex(texts, r"\w+")).as_py() >= WORDS_OF_TEXT:
        return Guess(FeatureKind.TEXT, "several words")
    if column.distinct < 0.9 * count:
        return Guess(FeatureKind.ID, f"{column.distinct} values in {count} rows: an embedding each")
    return Guess(None, "it differs in nearly every row, so that nothing can be learnt of its values")


def _separator(texts: pa.Array, distinct: int) -> str | None:
    """What cuts the texts into values that come again in other rows."""
    for separator in SEPARATORS:
        if pc.mean(pc.match_substring(texts, separator).cast(pa.float64())).as_py() < 0.1:
            continue
        pieces = pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(texts, separator)))
        kinds = pc.count_distinct(pieces).as_py()
        if separator in "|;":
            fits = kinds <= max(distinct, FEW_VALUES)
        elif separator == ",":
            fits = kinds <= distinct and pc.mean(pc.count_substring_regex(pieces, r"\w+")).as_py() < WORDS_OF_TEXT
        else:  # words of a language repeat as well, but there are many of them
            fits = distinct >= FEW_VALUES and kinds * 2 <= distinct
        if fits and kinds <= MANY_VALUES:
            return separator
    return None
