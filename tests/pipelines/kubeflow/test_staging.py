"""Artifacts go to the volume that Beam's workers see, and come back."""

from pathlib import Path

import pytest

from pipelines.kubeflow.staging import SHARED_ENV, staging


def test_inputs_go_in_and_outputs_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher, shared = tmp_path / "pod", tmp_path / "volume"
    monkeypatch.setenv(SHARED_ENV, str(shared))
    given, made = launcher / "s3/bucket/given", launcher / "s3/bucket/made"
    (given / "Split-train").mkdir(parents=True)
    (given / "Split-train/part").write_text("in")
    with staging() as stage:
        assert stage.root is not None
        assert stage.root.is_relative_to(shared)
        stage.copied_in(given, launcher)
        assert (stage.root / "s3/bucket/given/Split-train/part").read_text() == "in"
        (stage.root / "s3/bucket/made").mkdir(parents=True)
        (stage.root / "s3/bucket/made/model").write_text("out")
        stage.copied_out(made, launcher)
    assert (made / "model").read_text() == "out"
    assert list(shared.iterdir()) == []


def test_a_failed_attempt_leaves_nothing_on_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_ENV, str(tmp_path / "volume"))

    def attempt() -> None:
        with staging() as stage:
            assert stage.root is not None
            (stage.root / "half").write_text("written")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        attempt()
    assert list((tmp_path / "volume").iterdir()) == []


def test_without_a_volume_nothing_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED_ENV, raising=False)
    (tmp_path / "given").mkdir()
    with staging() as stage:
        assert stage.root is None
        stage.copied_in(tmp_path / "given", tmp_path)
        stage.copied_out(tmp_path / "given", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["given"]
