"""What is known of a model's versions: the state of each, what it holds, and who is using it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from serving.model_server.model_config import ModelConfig
from serving.model_server.status import StatusError


class VersionState(enum.IntEnum):
    """The life of a version; the numbers are those of the ModelVersionStatus proto."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Closeable(Protocol):
    def close(self) -> None: ...


ServableT = TypeVar("ServableT", bound=Closeable)


@dataclass(frozen=True)
class VersionStatus:
    """What is told of a version. ``error`` is why it could not be loaded, None for a version that is well."""

    version: int
    state: VersionState
    error: StatusError | None = None


@dataclass
class Version(Generic[ServableT]):
    """One version. While it is LOADING, ``attempts`` have failed and ``retry_at_s`` (monotonic) is when the next is due."""

    number: int
    state: VersionState = VersionState.START
    error: StatusError | None = None
    servable: ServableT | None = None
    requests_in_flight: int = 0
    attempts: int = 0
    retry_at_s: float = 0.0

    def status(self) -> VersionStatus:
        return VersionStatus(self.number, self.state, self.error)


@dataclass
class ServedModel(Generic[ServableT]):
    """A model with all versions that were ever seen. ``is_wanted`` is False once the configuration leaves it out."""

    config: ModelConfig
    labels: Mapping[str, int]
    versions: dict[int, Version[ServableT]] = field(default_factory=dict)
    is_wanted: bool = True
    last_listing_error: str = ""

    def available(self) -> list[Version[ServableT]]:
        return [version for version in self.versions.values() if version.state is VersionState.AVAILABLE]

    def loading(self) -> list[Version[ServableT]]:
        return [version for version in self.versions.values() if version.state is VersionState.LOADING]
