"""The life of versions, with servables that are only names: no TensorFlow, no threads but the test's own."""

from pathlib import Path

import grpc
import pytest

from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_config import AllVersions, Latest, ModelConfig, VersionPolicy
from serving.model_server.registry import ModelRegistry, VersionState
from serving.model_server.status import StatusError


class Recorded:
    """A servable that knows where it came from and whether it is closed."""

    def __init__(self, folder: Path) -> None:
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


def registry_of(base_path: Path, policy: VersionPolicy | None = None) -> ModelRegistry[Recorded]:
    registry = ModelRegistry([ModelConfig("m", base_path, policy or Latest())], Recorded)
    registry.poll()
    return registry


def states(registry: ModelRegistry[Recorded]) -> dict[int, str]:
    return {status.version: status.state.name for status in registry.status("m")}


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
    assert registry_of(tmp_path).failed() == ["model m: version 1: ValueError: the model is broken"]


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
