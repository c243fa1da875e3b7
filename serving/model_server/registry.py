"""The models being served: which versions are loaded, in which state, and who is using them.

One call of :meth:`ModelRegistry.poll` or :meth:`ModelRegistry.reconfigure` works at a time; any number of threads use
versions meanwhile. A new version is loaded and warmed up before the one that it replaces is let go, and a version is
closed when its last request has ended, so no request is lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import grpc

from serving.model_server.model_choice import ModelChoice
from serving.model_server.model_config import ModelConfig
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.version_folders import find_versions
from serving.model_server.version_labels import LabelPolicy, checked_labels
from serving.model_server.version_state import ServableT, ServedModel, Version, VersionState, VersionStatus

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadRetries:
    """How often to try again to load a version that failed, and how long to wait before each further attempt."""

    max_count: int = 0
    interval_s: float = 0.0


class ModelRegistry(Generic[ServableT]):
    """The versions of some models, kept in step with their folders."""

    def __init__(
        self,
        load: Callable[[str, Path], ServableT],
        *,
        label_policy: LabelPolicy = LabelPolicy.AVAILABLE_ONLY,
        retries: LoadRetries | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        """``load`` makes a servable of a model's name and a version's folder; ``stopping`` ends waits for retries."""
        self._load = load
        self._label_policy = label_policy
        self._retries = retries or LoadRetries()
        self._stopping = stopping or threading.Event()
        self._models: dict[str, ServedModel[ServableT]] = {}
        # Held for a moment wherever states are read or written.
        self._lock = threading.Lock()
        # Held for as long as versions are being loaded and let go.
        self._work = threading.Lock()

    def reconfigure(self, configs: Sequence[ModelConfig]) -> None:
        """Serve these models and no others; returns once the new ones are loaded, or have failed to.

        Raises StatusError FAILED_PRECONDITION, with nothing changed, for a label whose version may not have it; and
        UNKNOWN, with all the rest done, where a new model has versions and none of them could be loaded.
        """
        with self._work:
            with self._lock:
                labels = {
                    config.name: checked_labels(config, self._models.get(config.name), self._label_policy) for config in configs
                }
            wanted = {config.name: config for config in configs}
            new = [name for name in wanted if name not in self._models or not self._models[name].is_wanted]
            with self._lock:
                for name, config in wanted.items():
                    model = self._models.setdefault(name, ServedModel(config, labels[name]))
                    model.config, model.labels, model.is_wanted = config, labels[name], True
                for name in self._models.keys() - wanted.keys():
                    self._models[name].labels, self._models[name].is_wanted = {}, False
            self._poll_all()
        self._wait_until_loaded(new)
        failures = self._failures(new)
        if failures:
            raise StatusError(grpc.StatusCode.UNKNOWN, f"Some models did not become available: {{{''.join(failures)}}}")

    def poll(self) -> None:
        """Look at every model's folder once; load what is wanted and new, then let go of what is no longer wanted."""
        with self._work:
            self._poll_all()

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

    def failed(self) -> list[str]:
        """A line for each model that has versions but none to serve: the reasons."""
        with self._lock:
            return [
                f"model {name}: " + "; ".join(f"version {v.number}: {v.error}" for v in model.versions.values() if v.error)
                for name, model in self._models.items()
                if model.is_wanted and model.versions and not model.available()
            ]

    def close(self) -> int:
        """Let go of every version; how many requests still hold one, which is then closed by the last of them."""
        for name, model in self._models.items():
            for version in model.available():
                self._retire(name, version)
        with self._lock:
            return sum(v.requests_in_flight for model in self._models.values() for v in model.versions.values())

    def _poll_all(self) -> None:
        models = list(self._models.values())
        for model in models:
            if model.is_wanted:
                self._poll_model(model)
        # What is new is served by now, so what it replaces may go.
        for model in models:
            if not model.is_wanted:
                self._forget_failures(model, {}, ())
                for version in model.available():
                    self._retire(model.config.name, version)

    def _poll_model(self, model: ServedModel[ServableT]) -> None:
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
        self._forget_failures(model, folders, wanted)
        for number in wanted:
            version = self._due(model, number)
            if version is not None:
                self._load_version(model, version, folders[number])
        self._retire_unwanted(model, wanted)

    def _due(self, model: ServedModel[ServableT], number: int) -> Version[ServableT] | None:
        """The wanted version if it is to be loaded now: it is new, was let go of, or is due for another attempt.

        One that failed for good waits until its folder goes.
        """
        with self._lock:
            version = model.versions.get(number)
            if version is not None and version.state is VersionState.LOADING:
                return version if time.monotonic() >= version.retry_at_s else None
            if version is None or (version.state is VersionState.END and version.error is None):
                model.versions[number] = version = Version(number, VersionState.LOADING)
                return version
            return None

    def _load_version(self, model: ServedModel[ServableT], version: Version[ServableT], folder: Path) -> None:
        name, number = model.config.name, version.number
        _log.info("model %s version %d: loading %s", name, number, folder)
        try:
            servable = self._load(name, folder)
        except Exception as error:  # whatever a foreign model raises, the other versions must go on being served
            _log.exception("model %s version %d cannot be loaded from %s", name, number, folder)
            self._note_failure(version, error)
            return
        with self._lock:
            version.servable = servable
            version.error = None
            version.state = VersionState.AVAILABLE
        _log.info("model %s version %d: available", name, number)

    def _note_failure(self, version: Version[ServableT], error: Exception) -> None:
        if not isinstance(error, StatusError):
            error = StatusError(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
        with self._lock:
            version.attempts += 1
            if version.attempts <= self._retries.max_count:
                version.retry_at_s = time.monotonic() + self._retries.interval_s
                return
            version.error = error
            version.state = VersionState.END

    def _wait_until_loaded(self, names: Sequence[str]) -> None:
        """Try the versions that failed to load again, each when it is due, until they are loaded or out of attempts."""
        while True:
            with self._lock:
                due_s = [version.retry_at_s for name in names for version in self._models[name].loading()]
            if not due_s or self._stopping.wait(max(0.0, min(due_s) - time.monotonic())):
                return
            self.poll()

    def _failures(self, names: Sequence[str]) -> list[str]:
        with self._lock:
            return [
                f"{{name: {name} version: {number}}}, "
                for name in names
                if not self._models[name].available()
                for number in sorted(self._models[name].versions)
            ]

    def _forget_failures(self, model: ServedModel[ServableT], folders: Mapping[int, Path], wanted: Sequence[int]) -> None:
        with self._lock:
            for number, version in list(model.versions.items()):
                is_gone = version.error is not None and number not in folders
                # Nothing is being loaded at this moment: a version in LOADING waits for its next attempt.
                if is_gone or (version.state is VersionState.LOADING and number not in wanted):
                    del model.versions[number]

    def _retire_unwanted(self, model: ServedModel[ServableT], wanted: Sequence[int]) -> None:
        with self._lock:
            available = model.available()
        # Where nothing of what is wanted could be loaded, what there is goes on serving.
        if wanted and not any(version.number in wanted for version in available):
            return
        for version in available:
            if version.number not in wanted:
                self._retire(model.config.name, version)

    def _acquire(self, choice: ModelChoice) -> tuple[Version[ServableT], ServableT]:
        version = choice.version
        with self._lock:
            model = self._models.get(choice.name)
            if choice.label is not None:
                labels = {} if model is None else model.labels
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

    def _release(self, name: str, version: Version[ServableT]) -> None:
        with self._lock:
            version.requests_in_flight -= 1
            last_out = version.state is VersionState.UNLOADING and not version.requests_in_flight
        if last_out:
            self._close(name, version)

    def _retire(self, name: str, version: Version[ServableT]) -> None:
        with self._lock:
            version.state = VersionState.UNLOADING
            idle = not version.requests_in_flight
        if idle:
            self._close(name, version)

    def _close(self, name: str, version: Version[ServableT]) -> None:
        with self._lock:
            servable, version.servable = version.servable, None
        if servable is not None:
            servable.close()
        with self._lock:
            version.state = VersionState.END
        _log.info("model %s version %d: unloaded", name, version.number)
