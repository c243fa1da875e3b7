import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.errors import ArtifactError
from components.push.registry import CURRENT_FILE, MANIFEST_FILE, MODELS_FILE, Registry

Publish = Callable[[str], int]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_empty_registry(registry: Registry) -> None:
    assert (registry.versions(), registry.current(), registry.next_version()) == ([], None, 1)
    with pytest.raises(ArtifactError, match=r"bundles/1/manifest\.json: cannot be read .*published versions are none"):
        registry.manifest(1)


def test_a_release_lies_where_tensorflow_serving_looks(registry: Registry, publish: Publish) -> None:
    assert publish("one") == 1
    assert files_of(registry.folder) == {
        "current",
        "models.config",
        "models/retrieval/1/saved_model.pb",
        "models/retrieval/1/variables/index",
        "models/ranker/1/saved_model.pb",
        "bundles/1/manifest.json",
        "bundles/1/config.json",
        "bundles/1/evaluation.json",
        "bundles/1/index/vectors.npy",
        "bundles/1/index/scann/assets",
    }
    assert (registry.model("ranker", 1) / "saved_model.pb").read_text() == "ranker one"
    assert registry.current() == 1
    assert not list(registry.folder.glob(".incoming-*"))


def test_the_manifest_names_every_file_with_its_hash(registry: Registry, publish: Publish) -> None:
    publish("one")
    manifest = registry.manifest(1)
    assert manifest.files.keys() == files_of(registry.folder) - {"current", "models.config", "bundles/1/manifest.json"}
    for name, digest in manifest.files.items():
        assert digest == hashlib.sha256((registry.folder / name).read_bytes()).hexdigest()
    assert (manifest.format, manifest.version, manifest.name) == (1, 1, "shop")
    assert (manifest.candidates, manifest.metrics) == (300, {"ndcg@10": 0.25})
    assert datetime.fromisoformat(manifest.created).utcoffset() is not None
    assert json.loads((registry.bundle(1) / MANIFEST_FILE).read_text()) == asdict(manifest)


def test_two_versions_stand_side_by_side_and_either_can_be_served(registry: Registry, publish: Publish) -> None:
    assert [publish("one"), publish("two")] == [1, 2]
    for name in ("retrieval", "ranker"):
        assert {path.name for path in (registry.folder / "models" / name).iterdir()} == {"1", "2"}
    assert registry.versions() == [1, 2]
    assert registry.current() == 2
    registry.make_current(1)
    assert registry.current() == 1
    registry.verify(1)
    registry.verify(2)
    assert publish("three") == 3  # not the 2 that comes after the current one


def test_a_roll_back_goes_to_what_was_served_before_and_forth_again(registry: Registry, publish: Publish) -> None:
    for text in ("one", "two", "three"):
        publish(text)
    assert (registry.roll_back(), registry.current(), registry.previous()) == (2, 2, 3)
    assert registry.roll_back() == 3
    registry.roll_back()
    assert publish("four") == 4
    assert registry.roll_back() == 2  # not 3, which was left


def test_without_a_release_before_there_is_no_roll_back(registry: Registry, publish: Publish) -> None:
    publish("one")
    with pytest.raises(ArtifactError, match=r"holds no whole release before 1, wanted one to go back to$"):
        registry.roll_back()
    assert registry.current() == 1


def test_a_damaged_release_is_not_gone_back_to(registry: Registry, publish: Publish) -> None:
    publish("one")
    publish("two")
    (registry.model("ranker", 1) / "saved_model.pb").write_text("something else")
    with pytest.raises(ArtifactError, match="holds no whole release before 2, wanted one to go back to; damaged: 1"):
        registry.roll_back()
    assert registry.current() == 2


def test_damaged_releases_are_passed_over(registry: Registry, publish: Publish) -> None:
    publish("one")
    for text in ("two", "three"):
        version = publish(text)
        (registry.model("ranker", version) / "saved_model.pb").write_text("something else")
    assert registry.previous() == 1  # two was served by nobody
    assert versions_to_load(registry) == {"retrieval": [1, 3], "ranker": [1, 3]}
    assert registry.roll_back() == 1
    assert registry.current() == 1


def test_tensorflow_serving_is_told_to_load_the_current_release_and_the_one_before(
    registry: Registry, publish: Publish
) -> None:
    publish("one")
    assert versions_to_load(registry) == {"retrieval": [1], "ranker": [1]}
    publish("two")
    publish("three")
    assert versions_to_load(registry) == {"retrieval": [2, 3], "ranker": [2, 3]}
    registry.roll_back()
    assert versions_to_load(registry) == {"retrieval": [2, 3], "ranker": [2, 3]}


def versions_to_load(registry: Registry) -> dict[str, list[int]]:
    text = (registry.folder / MODELS_FILE).read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = parsed.model_config_list.config
    assert all(model.base_path == str(registry.folder.resolve() / "models" / model.name) for model in models)
    return {model.name: list(model.model_version_policy.specific.versions) for model in models}


def test_versions_are_numbers_not_words(registry: Registry, publish: Publish) -> None:
    for _ in range(10):
        publish("same")
    assert registry.versions() == list(range(1, 11))
    assert registry.next_version() == 11


def test_the_parts_of_a_funnel(registry: Registry, publish: Publish) -> None:
    publish("one")
    parts = registry.funnel_parts(1)
    assert (Path(parts.retrieval), Path(parts.ranker)) == (registry.model("retrieval", 1), registry.model("ranker", 1))
    assert Path(parts.index) == registry.bundle(1) / "index"
    assert parts.candidates == 300


def test_only_what_is_published_can_be_made_current(registry: Registry, publish: Publish) -> None:
    publish("one")
    with pytest.raises(ArtifactError, match=r"bundles/7/manifest\.json: cannot be read .*published versions are \[1\]"):
        registry.make_current(7)
    assert registry.current() == 1


def test_a_changed_file_is_named_with_what_was_found_and_wanted(registry: Registry, publish: Publish) -> None:
    publish("one")
    path = registry.model("ranker", 1) / "saved_model.pb"
    path.write_text("something else")
    found, wanted = (hashlib.sha256(text.encode()).hexdigest() for text in ("something else", "ranker one"))
    with pytest.raises(ArtifactError) as error:
        registry.verify(1)
    assert str(error.value) == f"{path}: has SHA-256 {found}, the manifest of release 1 wants {wanted}"


def test_a_missing_file_is_named(registry: Registry, publish: Publish) -> None:
    publish("one")
    path = registry.bundle(1) / "index" / "vectors.npy"
    path.unlink()
    with pytest.raises(ArtifactError) as error:
        registry.verify(1)
    assert str(error.value) == f"{path}: is missing from release 1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "unknown": 2}'])
def test_a_damaged_manifest_is_refused(registry: Registry, publish: Publish, text: str) -> None:
    publish("one")
    (registry.bundle(1) / MANIFEST_FILE).write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json: cannot be read"):
        registry.manifest(1)


def test_a_manifest_of_another_format_is_refused(registry: Registry, publish: Publish) -> None:
    publish("one")
    (registry.bundle(1) / MANIFEST_FILE).write_text('{"format": 2}')
    with pytest.raises(ArtifactError, match="has format 2, wanted 1; publish the release again"):
        registry.manifest(1)


def test_a_damaged_note_of_the_current_release_is_refused(registry: Registry, publish: Publish) -> None:
    publish("one")
    (registry.folder / CURRENT_FILE).write_text("latest")
    with pytest.raises(ArtifactError, match="current: found 'latest', wanted the number of a release"):
        registry.current()


# The steps of a second publish, undone from its end: what a crash just before each of them leaves behind.
CRASHES = [
    "while copying",
    "before the first model's rename",
    "before the second model's rename",
    "before the bundle's rename",
    "before the manifest",
    "within the manifest",
    "before the current version",
    "within the current version",
]


def crash(registry: Registry, step: int) -> None:
    """Turn the whole second release back into what was there when ``step`` of ``CRASHES`` was to be done."""
    folder, incoming = registry.folder, registry.folder / ".incoming-2"

    def undo(first_step_without: int, path: str) -> None:
        """A step before this one had not yet renamed ``path`` into its place."""
        if step < first_step_without:
            (incoming / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).rename(incoming / path)

    registry.make_current(1)
    if step == 7:
        (folder / ".current.partial").write_text("2")
    if step < 6:
        incoming.mkdir()
        (registry.bundle(2) / MANIFEST_FILE).unlink()
    if step == 5:
        (registry.bundle(2) / ".manifest.json.partial").write_text('{"format": 1, "ver')
    undo(4, "bundles/2")
    undo(3, "models/ranker/2")
    undo(2, "models/retrieval/2")
    if step == 0:
        shutil.rmtree(incoming / "bundles")


@pytest.mark.parametrize("step", range(len(CRASHES)), ids=CRASHES)
def test_a_crash_leaves_the_last_release_and_the_next_one_works(registry: Registry, publish: Publish, step: int) -> None:
    publish("one")
    publish("two")
    crash(registry, step)

    assert registry.current() == 1
    registry.verify(1)
    whole = step >= CRASHES.index("before the current version")
    assert registry.versions() == ([1, 2] if whole else [1])

    # Folders that a crash has left take their number with them; a server may have begun to read them.
    renamed = step >= CRASHES.index("before the second model's rename")
    version = publish("three")
    assert version == (3 if renamed else 2)
    assert registry.current() == version
    registry.verify(version)
    assert (registry.model("retrieval", version) / "saved_model.pb").read_text() == "towers three"
    assert not list(registry.folder.glob(".incoming-*"))


def test_a_source_that_is_not_there_publishes_nothing(registry: Registry, publish: Publish, tmp_path: Path) -> None:
    publish("one")
    with pytest.raises(FileNotFoundError):
        registry.publish("shop", {"retrieval": tmp_path / "absent"}, {}, {}, 1, "made from nothing", 0, metrics={})
    assert registry.versions() == [1]
    assert publish("two") == 2


def test_a_release_is_not_judged_against_itself(registry: Registry, publish: Publish) -> None:
    assert registry.to_compare_with("made from one") == 0  # nothing is published yet
    publish("one")
    assert registry.to_compare_with("made from one") == 0  # as when it was made
    assert registry.to_compare_with("made from two") == 1
    publish("two")
    assert registry.to_compare_with("made from two") == 1
