"""Where Beam's work is done: what the settings become, and what is refused."""

import socket
from pathlib import Path

import pytest

from components.errors import ConfigError, ServingError
from pipelines.beam_profiles import BeamFile, ClusterBeam, load_beam

EXAMPLES = Path(__file__).resolve().parents[2] / "infra/config/beam"
POOL = {"profile": "spark", "job_server": "jobs:8099", "worker_pool": "localhost:50000"}


def test_the_local_runner_looks_for_no_download() -> None:
    assert BeamFile.model_validate({"beam": {"profile": "local"}}).beam.arguments()[0] == "--runner=FnApiRunner"


def test_a_cluster_on_this_machine_is_worked_for_by_this_process() -> None:
    flink, spark = load_beam(EXAMPLES / "flink.yaml"), load_beam(EXAMPLES / "spark.yaml")
    common = ["--runner=PortableRunner", "--job_endpoint=127.0.0.1:8099", "--environment_type=LOOPBACK"]
    assert flink.arguments() == [*common, "--parallelism=2", "--sdk_container_image=unused"]
    assert spark.arguments() == [*common, "--sdk_container_image=unused"]


def test_a_worker_pool_is_named_to_the_cluster() -> None:
    arguments = ClusterBeam.model_validate({**POOL, "shared": "/mnt/winnow"}).arguments()
    assert arguments[2:4] == ["--environment_type=EXTERNAL", "--environment_config=localhost:50000"]


def test_workers_elsewhere_need_a_folder_that_they_see() -> None:
    with pytest.raises(ConfigError, match=r"beam\.shared: found nothing, wanted a folder .* the workers of localhost:50000"):
        ClusterBeam.model_validate(POOL).check_place(Path("/home/me/run"), "--workdir")
    shared = ClusterBeam.model_validate({**POOL, "shared": "/mnt/winnow"})
    with pytest.raises(ConfigError, match=r"--workdir: found /home/me/run, wanted a folder below beam\.shared, /mnt/winnow"):
        shared.check_place(Path("/home/me/run"), "--workdir")
    shared.check_place(Path("/mnt/winnow/run"), "--workdir")
    ClusterBeam(profile="flink", job_server="localhost:8099").check_place(Path("/home/me/run"), "--workdir")


def test_a_job_server_that_is_not_there_is_told_at_once() -> None:
    wanted = r"beam\.job_server: nothing answers at \[::1\]:1 .*wanted Beam's job server for flink, .*job_server\.py flink"
    with pytest.raises(ServingError, match=wanted):
        ClusterBeam(profile="flink", job_server="[::1]:1").check_answers()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ClusterBeam(profile="flink", job_server=f"127.0.0.1:{server.getsockname()[1]}").check_answers()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beam: {profile: dask}", "beam: "),
        (
            "beam: {profile: dataflow, project: p}",
            "beam: profile: found dataflow, which cannot do winnow's Beam work: Ingest, Samples, ItemToItem,",
        ),
        ("beam: {profile: flink}", "beam.flink.job_server: "),
        ("beam: {profile: flink, job_server: somewhere}", "beam.flink.job_server: found 'somewhere'"),
        ("beam: {profile: flink, job_server: 'j:1', shared: mnt}", "found mnt, wanted an absolute path of a folder below /"),
        ("beam: {profile: local, parallelism: 2}", "beam.local.parallelism: unknown key"),
    ],
)
def test_wrong_files_name_the_key(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "beam.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_beam(file)
    assert message in str(error.value)
