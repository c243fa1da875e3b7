"""The model config file: what it says, and what is said of a wrong one."""

from pathlib import Path

import pytest

from components.errors import ServingError
from serving.model_server.model_config import (
    AllVersions,
    Latest,
    ModelConfig,
    Specific,
    VersionPolicy,
    config_text,
    read_config_file,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    models = (
        ModelConfig("a", Path("/models/a")),
        ModelConfig("b", Path('/models/with "quotes"'), Latest(2), {"stable": 1, "canary": 2}),
        ModelConfig("c", Path("/models/c"), AllVersions()),
        ModelConfig("d", Path("/models/d"), Specific((1, 3))),
    )
    path = tmp_path / "models.config"
    path.write_text(config_text(models), encoding="utf-8")
    assert read_config_file(path) == models


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [(Latest(), [10]), (Latest(2), [10, 9]), (AllVersions(), [10, 9, 1]), (Specific((1, 9, 77)), [9, 1])],
)
def test_policies(policy: VersionPolicy, chosen: list[int]) -> None:
    assert policy.choose([9, 10, 1]) == chosen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("custom_model_config {}", "a custom_model_config is not supported; wanted a model_config_list"),
        ("model_config_list {", "is not a ModelServerConfig in text form"),
        ('model_config_list { config { base_path: "/m" model_platform: "tensorflow" } }', "has no name"),
        (
            'model_config_list { config { name: "m" base_path: "/m" } }',
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" model_type: TENSORFLOW } }',
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_type: OTHER } }',
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "caffe" } }',
            "Model m requests unsupported platform caffe",
        ),
        (
            'model_config_list { config { name: "m" base_path: "m" model_platform: "tensorflow" } }',
            "Expected model m to have an absolute path or URI; got base_path()=m",
        ),
        (
            "model_config_list {" + 'config { name: "m" base_path: "/m" model_platform: "tensorflow" }' * 2 + "}",
            "Illegal to list model m multiple times in config list",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" '
            "model_version_policy { specific {} } } }",
            "asks for specific versions and names none",
        ),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ServingError) as caught:
        read_config_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="cannot be read"):
        read_config_file(tmp_path / "absent")


@pytest.mark.parametrize("text", ["", "model_config_list {}"])
def test_a_list_may_be_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.config"
    path.write_text(text)
    assert read_config_file(path) == ()


def test_the_platform_may_be_in_its_old_field(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text('model_config_list { config { name: "m" base_path: "/m" model_type: TENSORFLOW } }')
    assert read_config_file(path) == (ModelConfig("m", Path("/m")),)
