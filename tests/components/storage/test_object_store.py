"""Files of a real store on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.errors import ArtifactError, ConfigError
from components.storage.object_store import ENDPOINT, ObjectStore, is_uri
from tests.pipelines.kubeflow.object_store import CREDENTIALS, object_store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store("bucket") as found:
        yield found


@pytest.fixture(params=["s3", "minio"])
def store(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in {**CREDENTIALS, ENDPOINT: endpoint}.items():
        monkeypatch.setenv(name, value)
    return ObjectStore(f"{request.param}://bucket/{tmp_path.name}/")


@pytest.mark.parametrize(
    ("place", "wanted"),
    [("s3://b/x", True), ("minio://b", True), ("gs://b", True), ("/s3/b", False), ("s3:/b", False), ("http://b/x", False)],
)
def test_which_places_are_in_a_store(place: str, wanted: bool) -> None:
    assert is_uri(place) is wanted


@pytest.mark.parametrize("uri", ["s3://", "s3:///", "ftp://bucket/x", "/folder"])
def test_a_uri_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="wanted s3://, minio://, gs:// and a bucket"):
        ObjectStore(uri)


def test_files_go_and_come_back(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 1000)
    store.upload(tmp_path / "a.bin", "folder/deep/a.bin")
    store.write("folder/b c.txt", b"b")
    assert [(each.name, each.size_bytes) for each in store.files()] == [("folder/b c.txt", 1), ("folder/deep/a.bin", 256_000)]
    assert [each.name for each in store.files("folder/deep")] == ["a.bin"]
    assert store.files("elsewhere") == []
    [found] = store.files("folder/deep")
    store.download("folder/deep/a.bin", tmp_path / "new" / "a.bin", found.modified_ns)
    assert (tmp_path / "new" / "a.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()
    assert (tmp_path / "new" / "a.bin").stat().st_mtime_ns == found.modified_ns > 0
    assert store.read("folder/b c.txt") == b"b"
    assert store.read("folder") is None
    assert store.read("nothing") is None
    store.delete(["folder/b c.txt", "nothing"])
    assert [each.name for each in store.files()] == ["folder/deep/a.bin"]


def test_a_bucket_that_is_not_there_is_named(store: ObjectStore) -> None:
    with pytest.raises(ArtifactError, match=r"s3://other/x/file: cannot be written: .*; check the bucket, the credentials"):
        ObjectStore("s3://other/x").write("file", b"")
