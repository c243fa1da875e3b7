"""How the pipeline runs on a Kubernetes cluster: images, places, and what each node gets."""

import difflib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from components.config import load_settings
from components.config.settings import Settings
from components.storage.object_store import SCHEMES, is_uri
from pipelines.beam_profiles import LOCAL_BEAM, BeamProfile, HostAndPort
from pipelines.nodes import LOOKING_UP, NODES, TUNERS

EXIT_HANDLER = "ExitHandler"
TRAINERS = {"RetrievalTrainer": "retrieval", "RankingTrainer": "ranking"}  # with the section of the config that each reads
CHIEF_LABEL = {"app.kubernetes.io/name": "winnow-trainer-chief"}
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei|[eE][+-]?\d+)?", re.ASCII)
FACTORS = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
           "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}  # fmt: skip
DURATION = re.compile(r"(\d+)([smhd])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# host and port, path in small letters, tag, digest: as container runtimes read it
IMAGE = re.compile(
    r"([A-Za-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
DAYS = re.compile(r"(\d{4}-\d\d-\d\d)?\.\.(\d{4}-\d\d-\d\d)?", re.ASCII)


def _quantity(value: str) -> str:
    if not QUANTITY.fullmatch(value):
        raise ValueError(f"found {value!r}, wanted a quantity as Kubernetes takes it, such as 2, 500m, 4Gi")
    return value


def _duration(value: str) -> str:
    if not DURATION.fullmatch(value) or not seconds(value):
        raise ValueError(f"found {value!r}, wanted a duration such as 30s, 10m, 2h, 1d")
    return value


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError(f"found {value!r}, wanted an absolute path inside the container")
    if ":" in value:
        raise ValueError(f"found {value!r}, wanted a path without a colon, in which Kubernetes mounts nothing")
    return value


def _uri(value: str, also: str = "") -> str:
    if not is_uri(value) or not value.partition("://")[2].strip("/"):
        wanted = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(f"found {value!r}, wanted one of {wanted} with a bucket, such as s3://my-bucket/winnow{also}")
    return value.rstrip("/")


def _place(value: str) -> str:
    """A URI, or a folder on a volume."""
    if PurePosixPath(value).is_absolute() and value.strip("/"):
        return value.rstrip("/")
    return _uri(value, ", or an absolute path")


def _image(value: str) -> str:
    name, _, digest = value.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if IMAGE.fullmatch(value) is None:
        raise ValueError(f"found {value!r}, wanted the name of an image, such as registry.example.com/winnow-pipeline:1.4.0")
    if not digest and not tag:
        raise ValueError(f"found {value!r}, wanted a tag or a digest, such as {value}:1.4.0")
    if not digest and tag == "latest":
        raise ValueError(f"found {value!r}, wanted a tag that stays what it is: the cache goes by the image's name")
    return value


def _node(name: str) -> str:
    known = (*NODES, *TUNERS, EXIT_HANDLER)
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {close[0]}?" if close else f"wanted one of: {', '.join(known)}"
        raise ValueError(f"is no node of the pipeline; {advice}")
    return name


Quantity = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_quantity)]
Duration = Annotated[str, AfterValidator(_duration)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
Uri = Annotated[str, AfterValidator(_uri)]
Place = Annotated[str, AfterValidator(_place)]
Image = Annotated[str, AfterValidator(_image)]
NodeName = Annotated[str, AfterValidator(_node)]
DNS_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
KubernetesName = Annotated[str, StringConstraints(pattern=f"^{DNS_NAME}$", max_length=253)]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._A-Za-z0-9]+$", max_length=253)]
LABEL = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, StringConstraints(pattern=f"^({DNS_NAME}/)?{LABEL}$")]
LabelValue = Annotated[str, StringConstraints(pattern=rf"^({LABEL})?$")]
ResourceName = Annotated[str, StringConstraints(pattern=f"^{DNS_NAME}/{LABEL}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Amount(Settings):
    """What a container asks for and what it may use at most."""

    request: Quantity | None = None
    limit: Quantity | None = None

    @model_validator(mode="after")
    def _request_fits(self) -> Self:
        if self.request and self.limit and amount(self.request) > amount(self.limit):
            raise ValueError(f"request: found {self.request}, wanted at most the limit of {self.limit}")
        return self


class Toleration(Settings):
    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    seconds: int | None = Field(default=None, ge=0, description="how long the pod stays on a node with NoExecute")

    @model_validator(mode="after")
    def _is_one_of_kubernetes(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError(f"value: found {self.value!r}, wanted none: the operator Exists takes any")
        if self.operator == "Equal" and not self.key:
            raise ValueError("key: found none, wanted one: only the operator Exists does without")
        if self.seconds is not None and self.effect != "NoExecute":
            raise ValueError(f"seconds: found {self.seconds} with the effect {self.effect or 'of any kind'}, wanted NoExecute")
        return self


class Retries(Settings):
    """How often a failed node is tried again, and after which waits: ``backoff``, then each ``factor`` times the last."""

    count: int = Field(default=2, ge=0, le=20)
    backoff: Duration = "60s"
    factor: float = Field(default=2.0, ge=1)
    max_backoff: Duration = "1h"


class Secret(Settings):
    """A Kubernetes secret, as environment variables or as a folder of files."""

    name: KubernetesName
    env: dict[SecretKey, EnvName] = Field(default={}, description="key of the secret → environment variable")
    mount: AbsolutePath | None = None

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if bool(self.env) == bool(self.mount):
            raise ValueError(f"secret {self.name!r}: wanted either env or mount")
        return self


class Volume(Settings):
    """A persistent volume claim that is there already."""

    claim: KubernetesName
    mount: AbsolutePath


class NodeSettings(Settings):
    """What one node gets. A key that a node's own section has replaces the whole value of the defaults' key."""

    image: Image | None = Field(default=None, description="default: the pipeline's")
    cpu: Amount = Amount()
    memory: Amount = Amount()
    gpu: int = Field(default=0, ge=0, le=16)
    gpu_resource: ResourceName = Field(default="nvidia.com/gpu", description="the resource's name where gpu is above 0")
    node_selector: dict[LabelKey, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()
    retries: Retries = Retries()
    timeout: Duration | None = Field(default=None, description="of one attempt; default: none")
    cache: bool = Field(default=True, description="take the result of an earlier run with the same inputs")
    env: dict[EnvName, str] = Field(default={}, description="no secrets here: they belong under secrets")
    secrets: tuple[Secret, ...] = ()
    volumes: tuple[Volume, ...] = ()

    @model_validator(mode="after")
    def _mounts_differ(self) -> Self:
        mounts = [volume.mount for volume in self.volumes] + [secret.mount for secret in self.secrets if secret.mount]
        twice = sorted({mount for mount in mounts if mounts.count(mount) > 1})
        if twice:
            raise ValueError(f"volumes and secrets: found {twice[0]} mounted twice, wanted a folder for each")
        return self


class ObjectStoreSettings(Settings):
    """Where the nodes reach a store that speaks S3 and is not Amazon's; nothing for Amazon's own and for Google's."""

    endpoint: str | None = None
    region: str | None = None

    @field_validator("endpoint")
    @classmethod
    def _has_protocol(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://.", value):
            raise ValueError(f"found {value!r}, wanted http://host:port or https://host")
        return value


class Webhook(Settings):
    """The secret that holds the URL to which a run's outcome is posted."""

    secret: KubernetesName
    key: SecretKey = "url"


class TrainingWorkers(Settings):
    """The pods that train with the trainers' nodes, where the pipeline's config asks for ``distribute: multi_worker``.

    Attributes:
      chief: the name that leads to a trainer's node, and its port: of a service that selects ``CHIEF_LABEL``.
      workers: the pods that run ``components.training.worker``, each by a name that it keeps.
      shared: a folder that the nodes and the workers see at the same path; artifacts lie there while a node trains.
    """

    chief: HostAndPort = "winnow-trainer-chief:2222"
    workers: tuple[HostAndPort, ...] = Field(min_length=1)
    shared: AbsolutePath

    @property
    def tf_config(self) -> str:
        """The chief's."""
        cluster = {"chief": [self.chief], "worker": list(self.workers)}
        return json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})


class RunParameters(Settings):
    """Defaults of the parameters that each run may set anew."""

    overrides: dict[str, object] = Field(default={}, description="changes of the pipeline's config, as a JSON merge patch")
    span: str = Field(default="", description="FIRST..LAST day of events to read, either of which may be left out")

    @field_validator("span")
    @classmethod
    def _is_span(cls, value: str) -> str:
        if value and not DAYS.fullmatch(value):
            raise ValueError(f"found {value!r}, wanted FIRST..LAST, such as 2026-01-01..2026-01-31 or 2026-01-01..")
        return value


class KubeflowSettings(Settings):
    """Everything that ``winnow compile`` reads beside the pipeline's own config."""

    image: Image = Field(description="the pipeline image; every node runs in it unless it names its own")
    pipeline_root: Uri = Field(description="where artifacts go")
    registry: Place | None = Field(
        default=None,
        description="where releases go: a URI, or a folder on a volume, from which serving can read them at once; default: "
        "`releases` below the pipeline root",
    )
    checkpoints: Place | None = Field(
        default=None,
        description="where a training keeps what its next attempt goes on from: a URI, or a folder on a volume that the "
        "trainers mount; default: `checkpoints` below the pipeline root",
    )
    sources: Place = Field(
        description="what the config's relative data paths count from: a URI, or a folder on a volume that the nodes mount"
    )
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    service_account: KubernetesName | None = Field(default=None, description="of every pod; given when a run is made")
    image_pull_secrets: tuple[KubernetesName, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    webhook: Webhook | None = Field(default=None, description="told how each run ended; default: only the log is")
    parameters: RunParameters = RunParameters()
    beam: BeamProfile = Field(default=LOCAL_BEAM, description="where the nodes' Beam work is done; default: in their pods")
    training: TrainingWorkers | None = Field(default=None, description="who trains with the trainers' nodes; default: nobody")
    defaults: NodeSettings = NodeSettings()
    nodes: dict[NodeName, NodeSettings] = {}

    @field_validator("nodes")
    @classmethod
    def _each_key_has_an_effect(cls, nodes: dict[str, NodeSettings]) -> dict[str, NodeSettings]:
        for name, own in nodes.items():
            if name == EXIT_HANDLER and "retries" in own.model_fields_set:
                raise ValueError(f"{name}.retries: found some, wanted none: it tries its webhook three times itself")
            if name in LOOKING_UP and "cache" in own.model_fields_set and own.cache:
                raise ValueError(f"{name}.cache: found true, wanted false: it looks up what is in no key of the cache")
        return nodes

    @property
    def releases(self) -> str:
        return self.registry or f"{self.pipeline_root}/releases"

    @property
    def checkpoints_place(self) -> str:
        return self.checkpoints or f"{self.pipeline_root}/checkpoints"

    def node(self, name: str) -> NodeSettings:
        """The defaults, with what the node's own section says in their place."""
        own = self.nodes.get(name)
        return (
            self.defaults.model_copy(update={key: getattr(own, key) for key in own.model_fields_set}) if own else self.defaults
        )


def load_kubeflow(path: Path) -> KubeflowSettings:
    """
    Raises:
      ConfigError: the file is missing, or a key in it is wrong.
    """
    return load_settings(path, KubeflowSettings, "a YAML file such as infra/config/kubeflow.yaml")


def amount(quantity: str) -> float:
    """The number that a Kubernetes quantity stands for."""
    match = QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, suffix = match.groups()
    return float(number) * FACTORS[suffix] if suffix in FACTORS else float(number + (suffix or ""))


def seconds(duration: str) -> int:
    match = DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is no duration")
    return int(match[1]) * SECONDS[match[2]]
