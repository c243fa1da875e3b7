"""What is read from a compiled pipeline, and what is refused before a cluster is asked."""

from pathlib import Path

import pytest

from components.errors import ArtifactError, ConfigError
from pipelines.kubeflow.client.package import Package


def test_nodes_come_in_the_order_of_their_work_with_those_of_inner_graphs(package: Package) -> None:
    assert package.name == "shop"
    assert package.nodes == ("ingest", "samples", "pusher", "report")


def test_the_same_bytes_are_the_same_version_wherever_they_lie(pipeline_yaml: Path, package: Package, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(pipeline_yaml.read_bytes())
    assert Package.read(copy).version == package.version
    copy.write_bytes(pipeline_yaml.read_bytes() + b"# changed\n")
    assert Package.read(copy).version != package.version


def test_parameters_take_values_of_their_own_type(package: Package) -> None:
    settings = ["span=7", "source=a=b", "share=1", "dry=true", 'slices=["country"]']
    assert package.values(settings) == {"span": 7, "source": "a=b", "share": 1.0, "dry": True, "slices": ["country"]}
    assert type(package.values(["share=1"])["share"]) is float
    assert package.values([]) == {}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("span", "--set span: wanted name=value"),
        ("spam=1", "--set spam=1: shop has no parameter 'spam'; it has dry, share, slices, source, span"),
        ("span=two", "--set span=two: found 'two', wanted a value of type NUMBER_INTEGER, in JSON"),
        ("span=true", "found 'true', wanted a value of type NUMBER_INTEGER"),
        ("share=NaN", "found 'NaN', wanted a value of type NUMBER_DOUBLE"),
        ("dry=1", "found '1', wanted a value of type BOOLEAN"),
        ("slices={}", "found '{}', wanted a value of type LIST"),
    ],
)
def test_a_wrong_parameter_is_named(package: Package, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        package.values([setting])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid YAML"),
        ("", "is no pipeline"),
        ("- a\n", "is no pipeline"),
        ("name: shop\n", "is no pipeline"),
        ("pipelineInfo: {name: a}\nroot: {}\nschemaVersion: 2.0.0\n", "found schema version '2.0.0'"),
    ],
)
def test_what_is_no_pipeline_for_kubeflow_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(content)
    with pytest.raises(ArtifactError) as raised:
        Package.read(file)
    assert message in str(raised.value)
    assert "winnow compile" in str(raised.value)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.yaml: cannot be read"):
        Package.read(tmp_path / "none.yaml")
