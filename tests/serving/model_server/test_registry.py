"""The life of versions, with servables that are only names: no TensorFlow, no threads but the test's own."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_config import AllVersions, Latest, ModelConfig, Specific, VersionPolicy
from serving.model_server.registry import LoadRetries, ModelRegistry
from serving.model_server.status import StatusError
from serving.model_server.version_labels import LabelPolicy
from serving.model_server.version_state import VersionState


class Recorded:
    """A servable that knows where it came from and whether it is closed."""

    def __init__(self, model_name: str, folder: Path) -> None:
        if (folder / "saved_model.pb").read_text() == "broken":
            raise ValueError("the model is broken")
        self.folder = folder
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def add(base_path: Path, version: int, content: str = "") -> Path:
    folder = base_path / str(version)
    folder.mkdir()
    (folder / "saved_model.pb").write_text(content)
    return folder


def registry_of(base_path: Path, policy: VersionPolicy | None = None, **options: Any) -> ModelRegistry[Recorded]:
    registry = ModelRegistry(Recorded, **options)
    registry.reconfigure([ModelConfig("m", base_path, policy or Latest())])
    return registry


def states(registry: ModelRegistry[Recorded], name: str = "m") -> dict[int, str]:
    return {status.version: status.state.name for status in registry.status(name)}


def refusal(call: Callable[..., Any], *arguments: Any) -> tuple[str, str]:
    with pytest.raises(StatusError) as caught:
        call(*arguments)
    return caught.value.code.name, caught.value.message


def test_the_highest_version_takes_over(tmp_path: Path) -> None:
    add(tmp_path, 9)
    registry = registry_of(tmp_path)
    with registry.use(ModelChoice("m")) as (number, first):
        assert number == 9
    add(tmp_path, 10)
    registry.poll()
    assert states(registry) == {10: "AVAILABLE", 9: "END"}
    assert first.is_closed
    with registry.use(ModelChoice("m")) as (number, servable):
        assert (number, servable.folder.name) == (10, "10")


def test_a_version_in_use_is_closed_by_its_last_user(tmp_path: Path) -> None:
    add(tmp_path, 1)
    registry = registry_of(tmp_path)
    with registry.use(ModelChoice("m")) as (_, one), registry.use(ModelChoice("m")):
        add(tmp_path, 2)
        registry.poll()
        assert states(registry) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert not one.is_closed
        with (
            pytest.raises(StatusError, match=r"Servable not found for request: Specific\(m, 1\)"),
            registry.use(ModelChoice("m", 1)),
        ):
            pass
    assert one.is_closed
    assert states(registry) == {2: "AVAILABLE", 1: "END"}


def test_a_failed_version_is_told_of_and_not_tried_again(tmp_path: Path) -> None:
    add(tmp_path, 1)
    registry = registry_of(tmp_path)
    broken = add(tmp_path, 2, "broken")
    registry.poll()
    failed, kept = registry.status("m")
    assert (failed.version, failed.state, kept.state) == (2, VersionState.END, VersionState.AVAILABLE)
    assert failed.error is not None
    assert str(failed.error) == "ValueError: the model is broken"
    (broken / "saved_model.pb").write_text("well")
    registry.poll()
    assert states(registry) == {2: "END", 1: "AVAILABLE"}
    assert registry.failed() == []


def test_a_model_with_nothing_but_failures(tmp_path: Path) -> None:
    add(tmp_path, 1, "broken")
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded)
    assert refusal(registry.reconfigure, [ModelConfig("m", tmp_path)]) == (
        "UNKNOWN",
        "Some models did not become available: {{name: m version: 1}, }",
    )
    assert registry.failed() == ["model m: version 1: ValueError: the model is broken"]


def test_a_base_path_that_goes_away_leaves_what_is_served(tmp_path: Path) -> None:
    base_path = tmp_path / "m"
    base_path.mkdir()
    add(base_path, 1)
    registry = registry_of(base_path)
    base_path.rename(tmp_path / "moved")
    registry.poll()
    assert states(registry) == {1: "AVAILABLE"}


def test_all_versions_gone_leave_nothing(tmp_path: Path) -> None:
    folder = add(tmp_path, 1)
    registry = registry_of(tmp_path)
    (folder / "saved_model.pb").unlink()
    registry.poll()
    assert states(registry) == {1: "END"}
    with pytest.raises(StatusError) as caught, registry.use(ModelChoice("m")):
        pass
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


def test_several_versions_side_by_side(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        add(tmp_path, version)
    registry = registry_of(tmp_path, AllVersions())
    assert states(registry) == {3: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"}
    with registry.use(ModelChoice("m", 2)) as (number, _):
        assert number == 2
    registry.close()
    assert states(registry) == {3: "END", 2: "END", 1: "END"}


def test_only_numbered_folders_with_a_model_count(tmp_path: Path) -> None:
    add(tmp_path, 3)
    (tmp_path / "4").mkdir()
    for name in ("-5", "6a", "\u0667", str(2**63), "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "8").touch()
    assert states(registry_of(tmp_path, AllVersions())) == {3: "AVAILABLE"}


@pytest.fixture
def two_models(tmp_path: Path) -> tuple[ModelConfig, ModelConfig]:
    for name in ("m", "n"):
        (tmp_path / name).mkdir()
        for version in (1, 2):
            add(tmp_path / name, version)
    return ModelConfig("m", tmp_path / "m"), ModelConfig("n", tmp_path / "n")


def test_a_configuration_replaces_the_one_before(two_models: tuple[ModelConfig, ModelConfig]) -> None:
    first, second = two_models
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded)
    registry.reconfigure([first])
    with registry.use(ModelChoice("m")) as (_, servable):
        registry.reconfigure([second])
        assert states(registry) == {2: "UNLOADING"}
        assert states(registry, "n") == {2: "AVAILABLE"}
        assert not servable.is_closed
    assert servable.is_closed
    assert states(registry) == {2: "END"}
    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(m\)"), registry.use(ModelChoice("m")):
        pass
    registry.reconfigure([first, second])
    assert states(registry) == {2: "AVAILABLE"}


def test_a_policy_may_change(two_models: tuple[ModelConfig, ModelConfig]) -> None:
    config, _ = two_models
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded)
    registry.reconfigure([config])
    with registry.use(ModelChoice("m")) as (_, second):
        registry.reconfigure([replace(config, policy=AllVersions())])
        assert states(registry) == {2: "AVAILABLE", 1: "AVAILABLE"}
    registry.reconfigure([replace(config, policy=Specific((1,)))])
    assert states(registry) == {2: "END", 1: "AVAILABLE"}
    assert second.is_closed


def test_labels_go_to_available_versions_only(two_models: tuple[ModelConfig, ModelConfig]) -> None:
    config, _ = two_models
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded)
    labelled = replace(config, labels={"stable": 2})
    refused = (
        "FAILED_PRECONDITION",
        "Request to assign label to version 2 of model m, which is not currently available for inference",
    )
    assert refusal(registry.reconfigure, [labelled]) == refused
    assert refusal(registry.status, "m") == ("NOT_FOUND", "Could not find any versions of model m")
    registry.reconfigure([config])
    registry.reconfigure([labelled])
    with registry.use(ModelChoice("m", label="stable")) as (number, _):
        assert number == 2
    # Refused as a whole: the label stays, and nothing is loaded.
    moved = replace(config, policy=AllVersions(), labels={"stable": 1})
    assert refusal(registry.reconfigure, [moved])[0] == "FAILED_PRECONDITION"
    assert states(registry) == {2: "AVAILABLE"}
    with registry.use(ModelChoice("m", label="stable")) as (number, _):
        assert number == 2
    registry.reconfigure([config])
    with (
        pytest.raises(StatusError, match="Unrecognized servable version label: stable"),
        registry.use(ModelChoice("m", label="stable")),
    ):
        pass


def test_new_labels_may_wait_for_their_versions(two_models: tuple[ModelConfig, ModelConfig]) -> None:
    config, _ = two_models
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded, label_policy=LabelPolicy.NEW_LABELS)
    registry.reconfigure([replace(config, labels={"stable": 2, "next": 3})])
    with registry.use(ModelChoice("m", label="stable")) as (number, _):
        assert number == 2
    with (
        pytest.raises(StatusError, match=r"Servable not found for request: Specific\(m, 3\)"),
        registry.use(ModelChoice("m", label="next")),
    ):
        pass
    # A label in use does not move to what is not there.
    assert refusal(registry.reconfigure, [replace(config, labels={"stable": 3})]) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 3 of model m, which is not currently available for inference",
    )


def test_a_label_of_an_unknown_model() -> None:
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded)
    with (
        pytest.raises(StatusError, match="Unrecognized servable version label: stable"),
        registry.use(ModelChoice("absent", label="stable")),
    ):
        pass


def test_a_version_that_fails_is_tried_again(tmp_path: Path) -> None:
    add(tmp_path, 1)
    attempts: list[str] = []

    def load(model_name: str, folder: Path) -> Recorded:
        attempts.append(folder.name)
        if len(attempts) < 3:
            raise OSError("not yet")
        return Recorded(model_name, folder)

    registry = ModelRegistry(load, retries=LoadRetries(2, 0.0))
    registry.reconfigure([ModelConfig("m", tmp_path)])
    assert attempts == ["1", "1", "1"]
    assert states(registry) == {1: "AVAILABLE"}


def test_a_version_that_waits_for_its_next_attempt_is_loading(tmp_path: Path) -> None:
    stopping = threading.Event()
    stopping.set()  # so that nobody waits for the next attempt
    broken = add(tmp_path, 1, "broken")
    registry = ModelRegistry(Recorded, retries=LoadRetries(1, 3600.0), stopping=stopping)
    # The model has a version that is not available yet, and the wait for it is over.
    assert refusal(registry.reconfigure, [ModelConfig("m", tmp_path)])[0] == "UNKNOWN"
    assert states(registry) == {1: "LOADING"}
    registry.poll()
    assert states(registry) == {1: "LOADING"}
    add(tmp_path, 2)
    registry.poll()
    assert states(registry) == {2: "AVAILABLE"}
    (broken / "saved_model.pb").unlink()


def test_attempts_come_to_an_end(tmp_path: Path) -> None:
    add(tmp_path, 1, "broken")
    registry: ModelRegistry[Recorded] = ModelRegistry(Recorded, retries=LoadRetries(3, 0.0))
    assert refusal(registry.reconfigure, [ModelConfig("m", tmp_path)])[0] == "UNKNOWN"
    assert states(registry) == {1: "END"}
