"""Where a data set's files lie: on this machine, or in an object store, from where they are fetched first."""

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from components.config import DatasetConfig, TableConfig
from components.errors import ConfigError, DataError
from components.ingest.files import fingerprint, table_files
from components.storage.object_store import ObjectStore, StoredFile, is_uri

TABLES = ("events", "items", "users")


def sources_fingerprint(dataset: DatasetConfig) -> str:
    """A digest of all source files that changes when one does."""
    return fingerprint([file for name, table in _tables(dataset) for file in table_files(table, f"dataset.{name}")])


@contextmanager
def fetched(dataset: DatasetConfig, place: str) -> Iterator[DatasetConfig]:
    """The settings with paths of this machine.

    Args:
      place: the URI or folder that relative paths count from; files below a URI are copied here for as long as needed.

    Raises:
      DataError: there is no file where a table should be.
    """
    if not is_uri(place):
        yield dataset.resolved(Path(place)) if place else dataset
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = {name: _fetch(table, name, place, Path(scratch) / name) for name, table in _tables(dataset)}
        yield dataset.model_copy(
            update={name: table.model_copy(update={"path": paths[name]}) for name, table in _tables(dataset)}
        )


def uri_of(path: Path, place: str, key: str) -> str:
    """The URI of a table's relative path below the URI ``place``, its ``..`` taken as in a file system.

    Raises:
      ConfigError: the path is absolute, or leads out of the bucket; ``key`` is its place in the config.
    """
    scheme, _, rest = place.partition("://")
    bucket, _, folder = rest.strip("/").partition("/")
    inside = posixpath.normpath(posixpath.join(folder, path.as_posix()))
    if path.is_absolute() or inside.split("/")[0] in ("..", "."):
        raise ConfigError(f"{key}.path: found {path}, wanted a relative path inside the bucket: it counts from {place}")
    return f"{scheme}://{bucket}/{inside}"


def _tables(dataset: DatasetConfig) -> list[tuple[str, TableConfig]]:
    return [(name, table) for name in TABLES if (table := getattr(dataset, name)) is not None]


def _fetch(table: TableConfig, name: str, place: str, folder: Path) -> Path:
    """Copy one table's files to ``folder``; its path there."""
    uri = uri_of(table.path, place, f"dataset.{name}")
    parent, leaf = uri.rsplit("/", 1)
    store = ObjectStore(parent)
    found = [each for each in store.files() if _is_part(each, leaf)]
    if not found:
        raise DataError(f"dataset.{name}.path: found no file at {uri}; wanted a file, a folder of files, or a pattern with *")
    for each in found:
        store.download(each.name, folder / each.name, each.modified_ns)
    return folder / leaf


def _is_part(file: StoredFile, leaf: str) -> bool:
    if "*" in leaf:
        return "/" not in file.name and fnmatchcase(file.name, leaf)
    return file.name == leaf or file.name.startswith(f"{leaf}/")
