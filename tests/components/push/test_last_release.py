"""Which release a run is judged against, with the releases in a folder and in an object store: the same answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.config import PipelineConfig, parse_config
from components.push.component import Baseline, LastRelease
from components.push.last_release import made_from
from components.push.mirror import open_registry
from components.schema import tfx_api as tfx
from components.schema.artifact_types import EventLog
from components.schema.events import write_sources
from components.storage.object_store import ENDPOINT
from tests.pipelines.kubeflow.object_store import CREDENTIALS, object_store


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with object_store("bucket") as found:
        yield found


@pytest.fixture(params=["folder", "store"])
def place(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**CREDENTIALS, ENDPOINT: endpoint}.items():
        monkeypatch.setenv(name, value)
    return str(tmp_path / "releases") if request.param == "folder" else f"s3://bucket/{tmp_path.name}/releases"


def config(kind: str = "categorical", epochs: int = 1) -> PipelineConfig:
    return parse_config(
        json.dumps(
            {
                "name": "shop",
                "dataset": {
                    "events": {"path": "e", "columns": {"user_id": "u", "item_id": "i", "timestamp": "t"}},
                    "items": {"path": "i", "id": "i", "features": {"brand": {"column": "b", "kind": kind}}},
                    "tasks": {"buy": {}},
                },
                "ranking": {"epochs": epochs},
            }
        ),
        origin="test",
    )


@pytest.fixture
def push(place: str, tmp_path: Path) -> Callable[..., int]:
    """Publishes a release that was made from the given sources and config."""

    def attempt(sources: str, made: PipelineConfig, compared_with: int = 0) -> int:
        model = tmp_path / f"model {sources}"
        model.mkdir()
        (model / "saved_model.pb").write_text(f"ranker of {sources}")
        text = made.model_dump_json()
        with open_registry(place) as registry:
            return registry.publish(
                "shop",
                models={"retrieval": model, "ranker": model},
                parts={"index": model},
                documents={"config.json": text},
                candidates=10,
                fingerprint=made_from(sources, text),
                compared_with=compared_with,
                metrics={},
            )

    return attempt


@pytest.fixture
def look_up(place: str, tmp_path: Path) -> Callable[..., int]:
    """What the node LastRelease finds for a run made from the given sources and config."""
    event_log = EventLog()
    event_log.uri = str(tmp_path)
    find: Any = LastRelease.EXECUTOR_SPEC.executor_class._FUNCTION

    def found(sources: str, made: PipelineConfig) -> int:
        write_sources(tmp_path, sources)
        text = made.model_dump_json()
        answer = find(config=text, registry=place, known="", event_log=event_log)
        assert answer["fingerprint"] == made_from(sources, text)
        return answer["version"]

    return found


def test_before_the_first_release_there_is_none(look_up: Callable) -> None:
    assert look_up("a", config()) == 0


def test_the_current_release_is_the_one(push: Callable, look_up: Callable) -> None:
    push("a", config())
    push("b", config(), compared_with=1)
    assert look_up("c", config()) == 2
    assert look_up("b", config(epochs=2)) == 2  # the same data, other settings


def test_a_release_is_not_judged_against_itself(push: Callable, look_up: Callable) -> None:
    push("a", config())
    assert look_up("a", config()) == 0
    push("b", config(), compared_with=1)
    assert look_up("b", config()) == 1


def test_a_release_of_other_features_is_no_measure(push: Callable, look_up: Callable) -> None:
    push("a", config())
    assert look_up("b", config(kind="text")) == 0


@pytest.fixture
def baseline(place: str, tmp_path: Path) -> Callable[[int], str]:
    """The ranker that the node Baseline puts out for a version, by its content."""
    candidate, model = tfx.standard_artifacts.Model(), tfx.standard_artifacts.Model()
    candidate.uri, model.uri = str(tmp_path / "candidate"), str(tmp_path / "baseline")
    (tmp_path / "candidate" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "candidate" / "Format-Serving" / "saved_model.pb").write_text("the candidate")
    copy: Any = Baseline.EXECUTOR_SPEC.executor_class._FUNCTION

    def content(version: int) -> str:
        copy(registry=place, version=version, candidate=candidate, model=model)
        return (tmp_path / "baseline" / "Format-Serving" / "saved_model.pb").read_text()

    return content


def test_the_baseline_is_that_releases_ranker(push: Callable, baseline: Callable) -> None:
    push("a", config())
    push("b", config())
    assert baseline(1) == "ranker of a"


def test_without_a_release_the_candidate_is_its_own_baseline(baseline: Callable) -> None:
    assert baseline(0) == "the candidate"
