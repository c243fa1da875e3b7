"""Sources in an object store: fetched whole, and known by a fingerprint that changes when they do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.config import DatasetConfig
from components.errors import ConfigError, DataError
from components.ingest.sources import fetched, sources_fingerprint, uri_of
from components.storage.object_store import ENDPOINT, ObjectStore
from tests.pipelines.kubeflow.object_store import CREDENTIALS, object_store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store("bucket") as found:
        yield found


@pytest.fixture
def place(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a folder with two days of events, a folder's worth of partitions, and a table of users beside it."""
    for name, value in {**CREDENTIALS, ENDPOINT: endpoint}.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore(f"s3://bucket/{tmp_path.name}")
    for name in ("data/day-1.csv", "data/day-2.csv", "data/other.txt", "data/parts/day=2026-01-01/a.csv", "users.csv"):
        store.write(name, name.encode())
    return f"s3://bucket/{tmp_path.name}/data"


def dataset(events: str, **tables: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "events": {"path": events, "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
            "tasks": {"buy": {}},
            **tables,
        }
    )


def files_of(found: DatasetConfig) -> list[str]:
    path = found.events.path
    every = path.parent.glob(path.name) if "*" in path.name else [path] if path.is_file() else path.rglob("*")
    return sorted(each.read_text() for each in every if each.is_file())


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ("day-1.csv", ["data/day-1.csv"]),
        ("day-*.csv", ["data/day-1.csv", "data/day-2.csv"]),
        ("parts", ["data/parts/day=2026-01-01/a.csv"]),
        ("../data/day-2.csv", ["data/day-2.csv"]),
    ],
)
def test_files_folders_and_patterns_are_fetched(place: str, events: str, wanted: list[str]) -> None:
    with fetched(dataset(events, users={"path": "../users.csv", "id": "u"}), place) as found:
        assert files_of(found) == wanted
        assert found.users is not None
        assert found.users.path.read_text() == "users.csv"
    assert not found.events.path.exists()


def test_a_table_that_is_not_there_is_named(place: str) -> None:
    with (
        pytest.raises(DataError, match=rf"dataset\.events\.path: found no file at {place}/day-9\.csv; wanted"),
        fetched(dataset("day-9.csv"), place),
    ):
        pass


def test_the_fingerprint_changes_with_the_files_only(place: str) -> None:
    def fingerprint() -> str:
        with fetched(dataset("day-*.csv"), place) as found:
            return sources_fingerprint(found)

    before = fingerprint()
    assert fingerprint() == before
    ObjectStore(place).write("other.txt", b"not an event")
    assert fingerprint() == before
    ObjectStore(place).write("day-3.csv", b"new")
    assert fingerprint() != before


def test_paths_of_this_machine_stay_where_they_are(tmp_path: Path) -> None:
    with fetched(dataset("/data/events.csv"), "") as found:
        assert found.events.path == Path("/data/events.csv")
    with fetched(dataset("events.csv"), str(tmp_path)) as found:
        assert found.events.path == tmp_path.resolve() / "events.csv"


@pytest.mark.parametrize(
    ("path", "place", "wanted"),
    [
        ("a.csv", "s3://b", "s3://b/a.csv"),
        ("../../var/a.csv", "s3://b/infra/config", "s3://b/var/a.csv"),
        ("../a.csv", "gs://b/x", "gs://b/a.csv"),
    ],
)
def test_uris_of_relative_paths(path: str, place: str, wanted: str) -> None:
    assert uri_of(Path(path), place, "dataset.events") == wanted


@pytest.mark.parametrize("path", ["../../a.csv", "/a.csv", ".."])
def test_paths_that_lead_out_of_the_bucket_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.events\.path: found .*, wanted a relative path inside the bucket"):
        uri_of(Path(path), "s3://b/x", "dataset.events")
