from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import compiler, dsl

from pipelines.kubeflow.client.connection import Access
from pipelines.kubeflow.client.installation import KubeflowPipelines
from pipelines.kubeflow.client.package import Package
from tests.pipelines.kubeflow.client.kfp_api import KubeflowPipelinesApi, Switches

IMAGE = "registry.example/winnow:1"


@dsl.container_component
def ingest(span: int, source: str) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(image=IMAGE, args=[span, source])  # type: ignore[list-item]


@dsl.container_component
def samples() -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(image=IMAGE)


@dsl.container_component
def pusher(share: float, dry: bool, slices: list) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(image=IMAGE, args=[share, dry, slices])  # type: ignore[list-item]


@dsl.container_component
def report() -> dsl.ContainerSpec:  # type: ignore[valid-type]
    return dsl.ContainerSpec(image=IMAGE)


@dsl.pipeline(name="shop")
def shop(span: int = 1, source: str = "events", share: float = 0.5, dry: bool = False, slices: list = ["country"]) -> None:  # noqa: B006
    with dsl.ExitHandler(report().set_display_name("Report")):
        first = ingest(span=span, source=source)
        second = samples().after(first)
        pusher(share=share, dry=dry, slices=slices).after(second)


@pytest.fixture(scope="session")
def pipeline_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as kfp itself compiles it: three nodes in a row within an exit handler, whose own node comes last."""
    file = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(shop, str(file))
    return file


@pytest.fixture(scope="session")
def package(pipeline_yaml: Path) -> Package:
    return Package.read(pipeline_yaml)


@pytest.fixture
def api() -> Iterator[KubeflowPipelinesApi]:
    with KubeflowPipelinesApi(Switches()) as running:
        yield running


@pytest.fixture
def cluster(api: KubeflowPipelinesApi) -> KubeflowPipelines:
    return KubeflowPipelines(Access(api.url))
