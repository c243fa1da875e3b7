"""The releases in an object store: a real one on loopback, through the same calls as a folder's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import ArtifactError
from components.push.mirror import open_registry
from components.push.registry import Registry
from components.storage.object_store import ENDPOINT, ObjectStore
from tests.pipelines.kubeflow.object_store import CREDENTIALS, door, object_store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store("bucket") as found:
        yield found


@pytest.fixture
def place(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**CREDENTIALS, ENDPOINT: endpoint}.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}/releases"


@pytest.fixture
def push(place: str, tmp_path: Path) -> Callable[..., int]:
    """Publishes models and an index that hold the given text, as one attempt at the push of the given name."""

    def attempt(text: str, pushed_by: str) -> int:
        for name in ("towers", "ranker", "index"):
            (tmp_path / text / name / "variables").mkdir(parents=True, exist_ok=True)
            (tmp_path / text / name / "saved_model.pb").write_text(f"{name} {text}")
            (tmp_path / text / name / "variables" / "data").write_text(text)
        with open_registry(place) as registry:
            return registry.publish(
                "shop",
                models={"retrieval": tmp_path / text / "towers", "ranker": tmp_path / text / "ranker"},
                parts={"index": tmp_path / text / "index"},
                documents={"config.json": "{}"},
                candidates=300,
                fingerprint=f"made from {text}",
                compared_with=registry.current() or 0,
                metrics={"ndcg@10": 0.25},
                pushed_by=pushed_by,
            )

    return attempt


def stored(place: str) -> list[str]:
    return [each.name for each in ObjectStore(place).files()]


def test_a_folder_is_a_folder(tmp_path: Path) -> None:
    with open_registry(str(tmp_path)) as registry:
        assert type(registry) is Registry
        assert registry.folder == tmp_path


def test_a_release_goes_to_the_store_and_comes_back_whole(place: str, push: Callable) -> None:
    assert push("one", "first") == 1
    assert push("two", "second") == 2
    with open_registry(place) as registry:
        assert (registry.versions(), registry.current(), registry.previous()) == ([1, 2], 2, 1)
        assert registry.place(2) == f"{place}/bundles/2"
        with pytest.raises(ArtifactError, match="is missing from release 2"):
            registry.verify(2)  # not here yet
        registry.fetch(2, under="bundles/2/index/")
        assert not registry.model("ranker", 2).joinpath("saved_model.pb").exists()
        registry.fetch(2)
        registry.verify(2)
        assert (registry.model("ranker", 2) / "saved_model.pb").read_text() == "ranker two"
    assert not [name for name in stored(place) if name.startswith("incoming") or name == "models.config"]


def test_the_same_push_again_makes_no_second_release(place: str, push: Callable) -> None:
    assert push("one", "first") == 1
    before = stored(place)
    assert push("one", "first") == 1
    assert stored(place) == before


@pytest.mark.parametrize("refused", ["manifest.json", "variables", "bundles/1/index"])
def test_a_push_that_breaks_off_leaves_no_release_and_the_next_attempt_no_trace_of_it(
    place: str, push: Callable, endpoint: str, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    with door(endpoint, "PUT", refused) as shut:
        monkeypatch.setenv(ENDPOINT, shut)
        with pytest.raises(ArtifactError, match="cannot be"):
            push("one", "first")
    monkeypatch.setenv(ENDPOINT, endpoint)
    with open_registry(place) as registry:
        assert (registry.versions(), registry.current()) == ([], None)
        assert registry.next_version() == 2  # the number is taken for all others
    assert "incoming/1" in stored(place)
    assert push("one", "first") == 1
    with open_registry(place) as registry:
        registry.fetch(1)
        registry.verify(1)
        names = {"bundles/1/manifest.json", "current", *registry.manifest(1).files}
    assert set(stored(place)) == names


def test_a_push_that_breaks_off_before_the_note_of_the_current_release_is_finished(
    place: str, push: Callable, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(endpoint, "PUT", "/current") as shut:
        monkeypatch.setenv(ENDPOINT, shut)
        with pytest.raises(ArtifactError, match="/current: cannot be"):
            push("one", "first")
    monkeypatch.setenv(ENDPOINT, endpoint)
    with open_registry(place) as registry:
        assert (registry.versions(), registry.current()) == ([1], None)
    assert push("one", "first") == 1
    with open_registry(place) as registry:
        assert (registry.versions(), registry.current()) == ([1], 1)


def test_what_another_push_has_left_is_left_alone(
    place: str, push: Callable, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door(endpoint, "PUT", "manifest.json") as shut:
        monkeypatch.setenv(ENDPOINT, shut)
        with pytest.raises(ArtifactError):
            push("one", "first")
    monkeypatch.setenv(ENDPOINT, endpoint)
    assert push("two", "second") == 2
    assert "incoming/1" in stored(place)


def test_a_damaged_file_is_found_when_it_is_fetched(place: str, push: Callable) -> None:
    push("one", "first")
    ObjectStore(place).write("bundles/1/index/saved_model.pb", b"broken")
    with open_registry(place) as registry, pytest.raises(ArtifactError, match=r"saved_model\.pb: differs from the manifest"):
        registry.fetch(1)


def test_a_store_that_is_not_there_is_named(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match=r"check the bucket, the credentials, and AWS_ENDPOINT_URL \(now http://127"):
        open_registry(place).__enter__()
