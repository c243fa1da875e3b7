"""The stream tier on a real Flink and a real Spark: the same bytes as by the local runner (`make test-flink`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.config import PipelineConfig, load_config
from components.errors import ArtifactError
from infra.scripts.job_server import SERVERS
from pipelines.beam_profiles import LOCAL_BEAM, ClusterBeam
from pipelines.nearline import StreamTier
from tests.pipelines.job_server import job_server
from tests.pipelines.online_log import SHOP, content, counted, event, fill, log
from tests.pipelines.test_clusters import CLUSTER, pytestmark  # noqa: F401  they are skipped together


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PipelineConfig:
    file = tmp_path_factory.mktemp("config") / "shop.yaml"
    file.write_text(yaml.safe_dump(SHOP))
    return load_config(file)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterBeam]:
    with job_server(CLUSTER, SERVERS / CLUSTER, tmp_path_factory.mktemp("cluster") / "job-server.log") as address:
        yield ClusterBeam(profile=CLUSTER, job_server=address, parallelism=2)  # type: ignore[arg-type]


def test_batches_are_the_same_bytes(config: PipelineConfig, cluster: ClusterBeam, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for workdir, profile in ((here, LOCAL_BEAM), (there, cluster)):
        fill(workdir)
        assert len(counted(StreamTier(config, workdir, profile, max_files=2))) == 2
        log(workdir, 4_000, *(event(f"late {number}", f"item {number % 7}") for number in range(1_000)))
        assert [each.event_count for each in counted(StreamTier(config, workdir, profile))] == [1_000]
    assert content(there / "stream") == content(here / "stream")


def test_what_a_worker_refuses_is_told_as_it_told_it(config: PipelineConfig, cluster: ClusterBeam, tmp_path: Path) -> None:
    fill(tmp_path)
    next((tmp_path / "online-log").rglob("part-*.parquet")).write_bytes(b"no Parquet")
    with pytest.raises(ArtifactError, match=r"part-\S+ is no readable file of the event log"):
        counted(StreamTier(config, tmp_path, cluster))
