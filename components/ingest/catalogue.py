"""Read the item and user tables and complete them with the ids that only the events know."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.config.dataset import DatasetConfig, FeatureColumn, FeatureKind, ItemsConfig, UsersConfig
from components.errors import DataError
from components.ingest.columns import as_id, as_text, fitting_units, is_list, to_ms, to_number
from components.ingest.files import parts, read_part
from components.schema.catalogue import ARROW_TYPES, items_schema, users_schema, words

MAX_UNREADABLE_SHARE = 0.5


def read_items(dataset: DatasetConfig, unreadable: Counter[str]) -> pa.Table | None:
    """The item table as configured, one row an id (the first counts), sorted; ``created_ms`` is null where unknown.

    A feature value that does not fit its kind is missing from then on, and counted in ``unreadable`` under its name.

    Raises:
      DataError: a file or column cannot be read, or most values of a feature do not fit its kind.
    """
    if dataset.items is None:
        return None
    config = dataset.items
    extra = [("dataset.items.title", config.title), ("dataset.items.created", config.created)]
    raw, file = _read(config, "dataset.items", [(key, name) for key, name in extra if name])
    columns = {"item_id": as_id(_column(raw, config.id), file, "dataset.items.id")}
    columns["title"] = columns["item_id"]
    if config.title:
        columns["title"] = as_text(_column(raw, config.title), file, "dataset.items.title")
    columns["created_ms"] = pa.nulls(raw.num_rows, pa.int64())
    if config.created:
        columns["created_ms"] = _created(_column(raw, config.created), config, file)
    columns |= _features(raw, config.features, file, "dataset.items", unreadable)
    return _one_row_an_id(pa.table(columns), "item_id", file, "dataset.items.id")


def read_users(dataset: DatasetConfig, unreadable: Counter[str]) -> pa.Table | None:
    """The user table as configured, one row an id, sorted; see ``read_items``."""
    if dataset.users is None:
        return None
    config = dataset.users
    raw, file = _read(config, "dataset.users", [])
    columns = {"user_id": as_id(_column(raw, config.id), file, "dataset.users.id")}
    columns |= _features(raw, config.features, file, "dataset.users", unreadable)
    return _one_row_an_id(pa.table(columns), "user_id", file, "dataset.users.id")


def complete_items(items: pa.Table | None, dataset: DatasetConfig, first_seen_ms: dict[str, int], fallback_ms: int) -> pa.Table:
    """The catalogue of every item of the table and of the events.

    Args:
      first_seen_ms: each item of the events, with the time of its first event.
      fallback_ms: ``created_ms`` of an item of which neither table nor events know it.
    """
    features = dataset.item_features
    known = items.column("item_id").to_pylist() if items is not None else []
    unknown = sorted(set(first_seen_ms) - set(known))
    _check_overlap("item", dataset.items, known, unknown, len(first_seen_ms))
    added = {"item_id": pa.array(unknown, pa.string()), "title": pa.array(unknown, pa.string()),
             "created_ms": pa.nulls(len(unknown), pa.int64())}  # fmt: skip
    table = _stacked(items, added, features).sort_by("item_id")
    seen = pa.array([first_seen_ms.get(item, fallback_ms) for item in table.column("item_id").to_pylist()], pa.int64())
    created = pc.coalesce(table.column("created_ms"), seen)
    table = table.set_column(table.schema.get_field_index("created_ms"), "created_ms", created)
    title = pc.coalesce(table.column("title"), table.column("item_id"))
    table = table.set_column(table.schema.get_field_index("title"), "title", title)
    return table.select(items_schema(features).names).cast(items_schema(features))


def complete_users(users: pa.Table | None, dataset: DatasetConfig, active: Iterable[str]) -> pa.Table:
    """The catalogue of every user of the table and of the events."""
    active = set(active)
    known = users.column("user_id").to_pylist() if users is not None else []
    unknown = sorted(active - set(known))
    _check_overlap("user", dataset.users, known, unknown, len(active))
    table = _stacked(users, {"user_id": pa.array(unknown, pa.string())}, dataset.user_features).sort_by("user_id")
    schema = users_schema(dataset.user_features)
    return table.select(schema.names).cast(schema)


def _read(table: ItemsConfig | UsersConfig, key: str, extra: list[tuple[str, str]]) -> tuple[pa.Table, Path]:
    columns = [(f"{key}.id", table.id), *extra]
    columns += [(f"{key}.features.{name}.column", feature.column) for name, feature in table.features.items()]
    tables: list[pa.Table] = []
    bad: list[str] = []
    pieces = parts(table, key)
    for part in pieces:

        def malformed(row: int, _: str, reason: str, path: Path = part.path) -> None:
            bad.append(f"{path} row {row}: {reason}")

        tables += [pa.Table.from_batches([batch]) for _, batch in read_part(table, key, part, columns, malformed)]
    file = pieces[0].path if pieces else table.path
    if bad:
        raise DataError(
            f"{len(bad)} malformed rows in {key}, the first: {bad[0]}; correct them, or {key}.delimiter and {key}.quote"
        )
    if not sum(each.num_rows for each in tables):
        raise DataError(f"{file}: holds no rows; wanted {key.split('.')[-1]}, or no key {key} at all")
    try:
        return pa.concat_tables(tables, promote_options="permissive"), file
    except pa.ArrowException as error:
        raise DataError(
            f"{table.path} ({key}): its files give a column different types ({error}); wanted one type in all of them"
        ) from error


def _features(
    raw: pa.Table, features: dict[str, FeatureColumn], file: Path, key: str, unreadable: Counter[str]
) -> dict[str, pa.Array]:
    made = {}
    for name, feature in features.items():
        column = _column(raw, feature.column)
        try:
            made[name] = _feature(column, feature)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(f"{file}: {key}.features.{name} cannot be read as {feature.kind}: {error}") from error
        bad = pc.and_not(made[name].is_null(), column.is_null(nan_is_null=True))
        count = int(pc.sum(bad).as_py() or 0)
        if count > MAX_UNREADABLE_SHARE * max(1, len(column) - column.null_count):
            example = column.filter(bad)[0].as_py()
            raise DataError(
                f"{file}: {key}.features.{name} has kind {feature.kind}, but {count} of {len(column)} values are none, "
                f"such as {example!r}; correct the kind, the column or the unit"
            )
        if count:
            unreadable[name] += count
    return made


def _feature(column: pa.Array, feature: FeatureColumn) -> pa.Array:
    if feature.kind is FeatureKind.NUMBER:
        return to_number(column, pa.float32())
    if feature.kind is FeatureKind.TIMESTAMP:
        return to_ms(column, feature.timestamp_unit)[0]
    if feature.kind is FeatureKind.TEXT:
        texts = column.cast(pa.string()).to_pylist()
        found = [None if text is None else words(text) for text in texts]
        return pa.array(found, pa.list_(pa.string()))
    if feature.kind is FeatureKind.MULTI_VALUED:
        if is_list(column.type):
            return _clean(column.cast(pa.list_(pa.string())))
        return _clean(pc.split_pattern(column.cast(pa.string()), feature.separator or "|"))
    return column.cast(pa.string())


def _clean(lists: pa.ListArray) -> pa.ListArray:
    """The lists with their values trimmed, and without those that are then empty."""
    values = pc.utf8_trim_whitespace(lists.flatten())
    kept = pc.fill_null(pc.not_equal(values, ""), False)
    counts = np.bincount(pc.list_parent_indices(lists).filter(kept).to_numpy(), minlength=len(lists))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    made = pa.ListArray.from_arrays(pa.array(offsets), values.filter(kept))
    return pc.if_else(lists.is_valid(), made, pa.scalar(None, made.type))


def _column(raw: pa.Table, name: str) -> pa.Array:
    return raw.column(name).combine_chunks()


def _created(column: pa.Array, config: ItemsConfig, file: Path) -> pa.Array:
    moments = to_ms(column, config.created_unit)[0]
    present = column.drop_null()
    if len(present) and not len(moments.drop_null()):
        fitting = fitting_units(present)
        raise DataError(
            f"{file}: no {config.created!r} can be read as {config.created_unit} (dataset.items.created_unit) "
            f"between 1990 and 2100; found {present[0].as_py()!r}"
            + (f", which would fit as {' or '.join(fitting)}" if fitting else "; leave dataset.items.created out")
        )
    return moments


def _one_row_an_id(table: pa.Table, id_column: str, file: Path, key: str) -> pa.Table:
    ids = table.column(id_column)
    if ids.null_count:
        raise DataError(f"{file}: {ids.null_count} rows have no {key}; wanted an id in each")
    _, first = np.unique(ids.to_numpy(zero_copy_only=False).astype(str), return_index=True)
    return table.take(pa.array(np.sort(first))).sort_by(id_column)


def _check_overlap(
    kind: str, table: ItemsConfig | UsersConfig | None, known: list[str], unknown: list[str], active_count: int
) -> None:
    if table is not None and active_count and len(unknown) == active_count:
        key = f"dataset.{kind}s.id"
        raise DataError(
            f"{table.path}: none of its {len(known)} ids ({key}: {table.id!r}) is the {kind} of an event; found ids "
            f"like {known[0]!r}, while the events have ids like {unknown[0]!r}; wanted the same ids, written alike: "
            f"correct {key} or dataset.events.columns.{kind}_id"
        )


def _stacked(table: pa.Table | None, added: dict[str, pa.Array], features: dict[str, FeatureColumn]) -> pa.Table:
    size = len(next(iter(added.values())))
    added |= {name: pa.nulls(size, ARROW_TYPES[feature.kind]) for name, feature in features.items()}
    extension = pa.table(added)
    return extension if table is None else pa.concat_tables([table, extension.select(table.column_names).cast(table.schema)])
