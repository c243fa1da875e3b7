"""The models being served: which versions are loaded, in which state, and who is using them.

One thread calls :meth:`ModelRegistry.poll`; any number of threads use versions meanwhile. A new version is loaded and
warmed up before the one that it replaces is let go, and a version is closed when its last request has ended, so no
request is lost.
"""

import enum
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import grpc

from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_config import ModelConfig
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.version_folders import find_versions

_log = logging.getLogger(__name__)


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
class _Version(Generic[ServableT]):
    number: int
    state: VersionState = VersionState.START
    error: StatusError | None = None
    servable: ServableT | None = None
    requests_in_flight: int = 0

    def status(self) -> VersionStatus:
        return VersionStatus(self.number, self.state, self.error)


@dataclass
class _Model(Generic[ServableT]):
    config: ModelConfig
    versions: dict[int, _Version[ServableT]] = field(default_factory=dict)
    last_listing_error: str = ""

    def available(self) -> list[_Version[ServableT]]:
        return [version for version in self.versions.values() if version.state is VersionState.AVAILABLE]


class ModelRegistry(Generic[ServableT]):
    """The versions of some models, kept in step with their folders. ``load`` makes a servable of a version's folder."""

    def __init__(self, models: Sequence[ModelConfig], load: Callable[[Path], ServableT]) -> None:
        self._load = load
        self._models: Mapping[str, _Model[ServableT]] = {model.name: _Model(model) for model in models}
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Look at every model's folder once; load what is wanted and new, then let go of what is no longer wanted."""
        for model in self._models.values():
            self._poll_model(model)

    @contextmanager
    def use(self, choice: ModelChoice) -> Iterator[tuple[int, ServableT]]:
        """Hold one available version; gives its number and servable.

        Raises StatusError NOT_FOUND for a model or version that is not being served, INVALID_ARGUMENT for an unknown
        label.
        """
        held, servable = self._acquire(choice)
        try:
            yield held.number, servable
        finally:
            self._release(choice.name, held)

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """The states of one version, or of all that were ever seen, highest first. Raises StatusError NOT_FOUND."""
        with self._lock:
            model = self._models.get(name)
            found = {} if model is None else {number: entry.status() for number, entry in model.versions.items()}
        if version is not None:
            if version not in found:
                raise StatusError(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}")
            return [found[version]]
        if not found:
            raise StatusError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        return [found[number] for number in sorted(found, reverse=True)]

    def unlabelled(self) -> list[str]:
        """A line for each label whose version is not available."""
        with self._lock:
            return [
                f"label {label!r} of model {name} is given to version {number}, which is not available"
                for name, model in self._models.items()
                for label, number in model.config.labels.items()
                if number not in {version.number for version in model.available()}
            ]

    def failed(self) -> list[str]:
        """A line for each model that has versions but none to serve: the reasons."""
        with self._lock:
            return [
                f"model {name}: " + "; ".join(f"version {v.number}: {v.error}" for v in model.versions.values() if v.error)
                for name, model in self._models.items()
                if model.versions and not model.available()
            ]

    def close(self) -> int:
        """Let go of every version; how many requests still hold one, which is then closed by the last of them."""
        for name, model in self._models.items():
            for version in model.available():
                self._retire(name, version)
        with self._lock:
            return sum(v.requests_in_flight for model in self._models.values() for v in model.versions.values())

    def _poll_model(self, model: _Model[ServableT]) -> None:
        config = model.config
        try:
            folders = find_versions(config.base_path)
        except OSError as error:
            # What is served goes on: a disk that cannot be read is no wish to unload.
            if str(error) != model.last_listing_error:
                _log.error("model %s: the base path %s cannot be listed: %s", config.name, config.base_path, error)
            model.last_listing_error = str(error)
            return
        model.last_listing_error = ""
        wanted = config.policy.choose(list(folders))
        for number in wanted:
            if self._must_load(model, number):
                self._load_version(model, number, folders[number])
        self._forget_failures(model, folders)
        self._retire_unwanted(model, wanted)

    def _must_load(self, model: _Model[ServableT], number: int) -> bool:
        """Whether to load a wanted version: it is new, or was let go of. A failed one waits until its folder goes."""
        with self._lock:
            version = model.versions.get(number)
            return version is None or (version.state is VersionState.END and version.error is None)

    def _load_version(self, model: _Model[ServableT], number: int, folder: Path) -> None:
        version: _Version[ServableT] = _Version(number, VersionState.LOADING)
        with self._lock:
            model.versions[number] = version
        _log.info("model %s version %d: loading %s", model.config.name, number, folder)
        try:
            servable = self._load(folder)
        except Exception as error:  # whatever a foreign model raises, the other versions must go on being served
            _log.exception("model %s version %d cannot be loaded from %s", model.config.name, number, folder)
            code = error.code if isinstance(error, StatusError) else grpc.StatusCode.UNKNOWN
            with self._lock:
                version.error = StatusError(code, f"{type(error).__name__}: {error}")
                version.state = VersionState.END
            return
        with self._lock:
            version.servable = servable
            version.state = VersionState.AVAILABLE
        _log.info("model %s version %d: available", model.config.name, number)

    def _forget_failures(self, model: _Model[ServableT], folders: Mapping[int, Path]) -> None:
        with self._lock:
            for number in [n for n, version in model.versions.items() if version.error and n not in folders]:
                del model.versions[number]

    def _retire_unwanted(self, model: _Model[ServableT], wanted: Sequence[int]) -> None:
        with self._lock:
            available = model.available()
        # Where nothing of what is wanted could be loaded, what there is goes on serving.
        if wanted and not any(version.number in wanted for version in available):
            return
        for version in available:
            if version.number not in wanted:
                self._retire(model.config.name, version)

    def _acquire(self, choice: ModelChoice) -> tuple[_Version[ServableT], ServableT]:
        version = choice.version
        with self._lock:
            model = self._models.get(choice.name)
            if choice.label is not None:
                labels = {} if model is None else model.config.labels
                if choice.label not in labels:
                    raise invalid_argument(f"Unrecognized servable version label: {choice.label}")
                version = labels[choice.label]
            candidates = [] if model is None else model.available()
            if version is not None:
                candidates = [candidate for candidate in candidates if candidate.number == version]
            chosen = max(candidates, key=lambda candidate: candidate.number, default=None)
            if chosen is None or chosen.servable is None:
                what = f"Latest({choice.name})" if version is None else f"Specific({choice.name}, {version})"
                raise StatusError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {what}")
            chosen.requests_in_flight += 1
            return chosen, chosen.servable

    def _release(self, name: str, version: _Version[ServableT]) -> None:
        with self._lock:
            version.requests_in_flight -= 1
            last_out = version.state is VersionState.UNLOADING and not version.requests_in_flight
        if last_out:
            self._close(name, version)

    def _retire(self, name: str, version: _Version[ServableT]) -> None:
        with self._lock:
            version.state = VersionState.UNLOADING
            idle = not version.requests_in_flight
        if idle:
            self._close(name, version)

    def _close(self, name: str, version: _Version[ServableT]) -> None:
        with self._lock:
            servable, version.servable = version.servable, None
        if servable is not None:
            servable.close()
        with self._lock:
            version.state = VersionState.END
        _log.info("model %s version %d: unloaded", name, version.number)
