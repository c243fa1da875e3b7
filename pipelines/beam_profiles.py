"""Where the pipeline's Beam work is done: in this process, or on a Flink or Spark cluster."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from components.config import load_settings
from components.config.settings import Settings
from components.errors import ConfigError, ServingError

CONNECT_S = 10.0
# Named only so that TFX does not pack itself into an archive for remote workers, once a node, 3 s each: they have their own
# installation of winnow, in the pipeline image.
NO_PACKING = "--sdk_container_image=unused"
HostAndPort = Annotated[str, StringConstraints(pattern=r"^\[?[A-Za-z0-9.:-]+\]?:\d{1,5}$")]


def _absolute(value: Path) -> Path:
    if not value.is_absolute() or value == Path("/"):
        raise ValueError(f"found {value}, wanted an absolute path of a folder below /")
    return value


class LocalBeam(Settings):
    """Beam's in-process runner."""

    profile: Literal["local"] = "local"

    def arguments(self) -> list[str]:
        # Beam's other local runners look for a download first, and wait for it where there is no network.
        return ["--runner=FnApiRunner", NO_PACKING]


class ClusterBeam(Settings):
    """A Flink or Spark cluster, through the Beam job server that stands before it.

    Whatever the cluster's workers read and write they do by path: ``shared`` is a folder that they see where this process
    sees it.
    """

    profile: Literal["flink", "spark"]
    job_server: HostAndPort = Field(description="host:port of Beam's job server for the cluster")
    worker_pool: HostAndPort | None = Field(
        default=None,
        description="host:port of the Beam worker pool as the cluster's task managers see it, mostly one beside each; "
        "default: this process works itself, for a cluster on this machine",
    )
    shared: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        default=None, description="needed with a worker pool: a folder at the same path here and at every worker"
    )
    parallelism: int = Field(default=1, ge=1, description="of Flink's tasks; Spark takes its own from its master")

    def arguments(self) -> list[str]:
        if self.worker_pool is None:
            environment = ["--environment_type=LOOPBACK"]
        else:
            environment = ["--environment_type=EXTERNAL", f"--environment_config={self.worker_pool}"]
        parallelism = [f"--parallelism={self.parallelism}"] if self.profile == "flink" else []
        return ["--runner=PortableRunner", f"--job_endpoint={self.job_server}", *environment, *parallelism, NO_PACKING]

    def check_answers(self) -> None:
        """Whether anything listens where the job server should: Beam itself would go on trying for minutes.

        Raises:
          ServingError: nothing does.
        """
        host, _, port = self.job_server.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except (OSError, OverflowError) as error:
            raise ServingError(
                f"beam.job_server: nothing answers at {self.job_server} ({error}); wanted Beam's job server for "
                f"{self.profile}, such as `python infra/scripts/job_server.py {self.profile}` runs on this machine"
            ) from error

    def check_place(self, folder: Path, key: str) -> None:
        """Whether the workers can see what lies in ``folder``.

        Raises:
          ConfigError: they cannot.
        """
        if self.worker_pool is None:
            return
        if self.shared is None:
            raise ConfigError(
                f"beam.shared: found nothing, wanted a folder that this process and the workers of {self.worker_pool} both "
                "see at that path: a shared file system, or a ReadWriteMany volume"
            )
        if not folder.is_relative_to(self.shared):
            raise ConfigError(
                f"{key}: found {folder}, wanted a folder below beam.shared, {self.shared}: the workers see no other"
            )


def _no_dataflow(value: object) -> object:
    """Told apart from a misspelt profile, since Beam has it, and TFX's own nodes could do with it."""
    if isinstance(value, dict) and value.get("profile") == "dataflow":
        raise ValueError(
            "profile: found dataflow, which cannot do winnow's Beam work: Ingest, Samples, ItemToItem, FunnelEvaluator and "
            "BulkRecommender write files by path, and Dataflow's workers mount no volume that a node has too; wanted local, "
            "or flink or spark with a shared volume (infra/config/beam)"
        )
    return value


LOCAL_BEAM = LocalBeam()
BeamProfile = Annotated[LocalBeam | ClusterBeam, Field(discriminator="profile"), BeforeValidator(_no_dataflow)]


class BeamFile(Settings):
    """What a file for ``winnow run --beam`` holds."""

    beam: BeamProfile


def load_beam(path: Path) -> LocalBeam | ClusterBeam:
    """
    Raises:
      ConfigError: the file is missing, or a key in it is wrong.
    """
    return load_settings(path, BeamFile, "a YAML file such as infra/config/beam/flink.yaml").beam
