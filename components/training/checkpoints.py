"""Where a training keeps what it needs to go on, should its process be killed.

A node's output folders are removed when it fails, so this is kept elsewhere: in one file for each training, named by a hash
of all that it learns from. It is replaced after each epoch, and appears whole or not at all.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from components.errors import ArtifactError
from components.storage.object_store import ObjectStore, is_uri

FORMAT = "1"  # of the file
VERSIONS = ("winnow-recsys", "tensorflow")  # another one may compute otherwise
PROGRESS = "progress"  # the name of its entry in the file
Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch.

    Attributes:
      progress: what is known of the epochs so far, as JSON takes it.
      arrays: lists of arrays by name: variables.
    """

    progress: Mapping[str, Any]
    arrays: Mapping[str, Arrays]

    def write(self, file: IO[bytes]) -> None:
        flat = {f"{name}/{place}": each for name, arrays in self.arrays.items() for place, each in enumerate(arrays)}
        flat[PROGRESS] = np.frombuffer(json.dumps(self.progress).encode(), np.uint8)
        np.savez(file, **cast(dict[str, Any], flat))

    @classmethod
    def read(cls, path: Path, origin: str) -> "Checkpoint":
        """
        Raises:
          ArtifactError: it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                progress = json.loads(file[PROGRESS].tobytes())
                names = dict.fromkeys(name.rpartition("/")[0] for name in file.files if name != PROGRESS)
                arrays = {name: [file[each] for each in file.files if each.startswith(f"{name}/")] for name in names}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"{origin}: is damaged ({error}); remove it, and the training starts anew") from error
        return cls(progress, arrays)


class CheckpointFile:
    """The checkpoint of one training.

    Args:
      folder: a path, or a URI of an object store.
      key: finds the training's (``training_key``); it is asked once the file is needed, as reading all inputs takes time.
    """

    def __init__(self, folder: str, key: Callable[[], str]) -> None:
        self._folder, self._key = folder.rstrip("/"), key

    def read(self) -> Checkpoint | None:
        """None where there is none.

        Raises:
          ArtifactError: it is damaged, or the store cannot be reached.
        """
        if self._store is None:
            return Checkpoint.read(self._path, self.place) if self._path.exists() else None
        if self._name not in {each.name for each in self._store.files()}:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / self._name
            self._store.download(self._name, copy)
            return Checkpoint.read(copy, self.place)

    def write(self, checkpoint: Checkpoint) -> None:
        """In place of the one before; it appears whole or not at all."""
        if self._store is not None:
            with tempfile.TemporaryDirectory() as scratch:
                copy = Path(scratch) / self._name
                with copy.open("wb") as file:
                    checkpoint.write(file)
                self._store.upload(copy, self._name)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._partial.open("wb") as file:
            checkpoint.write(file)
            file.flush()
            os.fsync(file.fileno())
        self._partial.replace(self._path)

    def remove(self) -> None:
        """The training has ended well."""
        if self._store is not None:
            self._store.delete([self._name])
            return
        for path in (self._path, self._partial):
            path.unlink(missing_ok=True)

    @property
    def place(self) -> str:
        return f"{self._folder}/{self._name}"

    @cached_property
    def _name(self) -> str:
        return f"{self._key()}.npz"

    @cached_property
    def _store(self) -> ObjectStore | None:
        return ObjectStore(self._folder) if is_uri(self._folder) else None

    @property
    def _path(self) -> Path:
        return Path(self._folder) / self._name

    @property
    def _partial(self) -> Path:
        return self._path.with_name(f".{self._name}.partial")


def training_key(settings: Iterable[str], inputs: str) -> str:
    """A hash of all that a training depends on: settings, the ``digest_of`` its inputs, versions."""
    whole = hashlib.sha256()
    for text in (FORMAT, *(version(name) for name in VERSIONS), *settings, inputs):
        whole.update(f"{len(text)}:{text}".encode())
    return whole.hexdigest()[:32]


def digest_of(inputs: Mapping[str, Path | list[Path]]) -> str:
    """A hash of what lies in files and folders, wherever they lie."""
    whole = hashlib.sha256()
    for name, places in sorted(inputs.items()):
        for root in [places] if isinstance(places, Path) else places:
            files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
            for path in files:
                inner = path.relative_to(root) if path != root else path.name
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                whole.update(f"{name}/{inner}={digest}\n".encode())
    return whole.hexdigest()
