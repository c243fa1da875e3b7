"""Features of an item as a client sends them, in the form of the catalogue."""

from collections.abc import Mapping
from typing import Any

from components.config import FeatureColumn, FeatureKind
from components.schema.catalogue import words
from serving.gateway.errors import UnfitRequestError

MAX_VALUES = 100  # of a multi-valued feature: of many items at once, all are padded to the longest list
EARLIEST_MS, LATEST_MS = 631_152_000_000, 4_102_444_800_000  # 1990 and 2100
WANTED = {
    FeatureKind.ID: "a string",
    FeatureKind.CATEGORICAL: "a string",
    FeatureKind.MULTI_VALUED: "a list of strings",
    FeatureKind.NUMBER: "a number",
    FeatureKind.TEXT: "a string",
    FeatureKind.TIMESTAMP: "ms UTC between 1990 and 2100",
}


def catalogue_values(features: Mapping[str, Any], columns: Mapping[str, FeatureColumn]) -> dict[str, Any]:
    """The known ones of the features, each by its kind.

    Raises:
      UnfitRequestError: a feature is not in ``columns``, or its value is of another kind or out of bounds.
    """
    made = {}
    for name, given in features.items():
        column = columns.get(name)
        if column is None:
            known = ", ".join(columns) or "none at all"
            raise UnfitRequestError(("features", name), f"found {name!r}, wanted features of the items: {known}")
        if given is None:
            continue
        try:
            made[name] = _value(given, column)
        except ValueError as error:
            found = f"a list of {len(given)}" if isinstance(given, list) and len(given) > MAX_VALUES else repr(given)
            raise UnfitRequestError(("features", name), f"found {found}, wanted {error}") from error
    return made


def still_fitting(values: Mapping[str, Any], columns: Mapping[str, FeatureColumn]) -> dict[str, Any]:
    """Values made for one release, as another one can read them: what does not fit it is unknown."""
    fitting: dict[str, Any] = {}
    for name, value in values.items():
        column = columns.get(name)
        words_of_another = column is not None and column.kind is FeatureKind.TEXT and isinstance(value, list)
        try:
            fitting |= catalogue_values({name: " ".join(value) if words_of_another else value}, columns)
        except UnfitRequestError:
            continue
    return fitting


def _value(given: Any, column: FeatureColumn) -> Any:
    kind = column.kind
    if kind in (FeatureKind.ID, FeatureKind.CATEGORICAL, FeatureKind.TEXT):
        if not isinstance(given, str):
            raise ValueError(WANTED[kind])
        _check_values([given], column)
        return words(given) if kind is FeatureKind.TEXT else given
    if kind is FeatureKind.MULTI_VALUED:
        if not isinstance(given, list):
            raise ValueError(WANTED[kind])
        if len(given) > MAX_VALUES:
            raise ValueError(f"at most {MAX_VALUES} strings")
        values = [value.strip() for value in given if value.strip()]
        _check_values(values, column)
        return values
    if not isinstance(given, int | float):
        raise ValueError(WANTED[kind])
    if kind is FeatureKind.TIMESTAMP:
        if not EARLIEST_MS <= given < LATEST_MS:
            raise ValueError(WANTED[kind])
        return int(given)
    low, high = column.min, column.max
    if (low is not None and given < low) or (high is not None and given > high):
        raise ValueError(f"a number from {'any' if low is None else low} to {'any' if high is None else high}")
    return float(given)


def _check_values(values: list[str], column: FeatureColumn) -> None:
    if column.values is not None and not set(values) <= set(column.values):
        raise ValueError(f"one of: {', '.join(column.values)}" if len(column.values) <= 20 else "one of the configured values")
