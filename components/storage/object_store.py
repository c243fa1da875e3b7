"""Copies between an object store and this machine, for what needs plain files: ``s3://``, ``minio://`` and ``gs://``.

Credentials come from where the stores' own tools take them: ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, a role of
the machine, or Google's default credentials. ``AWS_ENDPOINT_URL`` names a store that speaks S3 and is not Amazon's.
"""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from components.errors import ArtifactError, ConfigError

SCHEMES = ("s3", "minio", "gs")
ENDPOINT = "AWS_ENDPOINT_URL"
MINIO_ENDPOINT = "http://minio-service.kubeflow:9000"  # where Kubeflow Pipelines' own store listens
REGION = "us-east-1"  # any will do for a store that is not Amazon's


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: its name below the folder that was listed, its size, and when it was written."""

    name: str
    size_bytes: int
    modified_ns: int


def is_uri(place: str) -> bool:
    """Whether ``place`` lies in an object store, and is no path."""
    return place.split("://", 1)[0] in SCHEMES and "://" in place


class ObjectStore:
    """The objects below one URI, as files in folders.

    Raises:
      ConfigError: the URI names no bucket, or is of another scheme.
    """

    def __init__(self, uri: str) -> None:
        scheme, _, path = uri.partition("://")
        if not is_uri(uri) or not path.strip("/"):
            raise ConfigError(f"{uri}: wanted {', '.join(f'{each}://' for each in SCHEMES)} and a bucket")
        self.uri = uri.rstrip("/")
        self._root = path.strip("/")
        self._system = fs.GcsFileSystem() if scheme == "gs" else fs.S3FileSystem(**_s3_options(scheme))

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files below ``folder``, by name; none where there is no such folder."""
        root = self._path(folder)
        try:
            found = self._system.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True))
        except OSError as error:
            raise self._failed(folder, "cannot be listed", error) from error
        files = [
            StoredFile(posixpath.relpath(each.path, root), each.size, each.mtime_ns or 0)
            for each in found
            if each.type is fs.FileType.File and not each.path.endswith("/")
        ]
        return sorted(files, key=lambda each: each.name)

    def read(self, name: str) -> bytes | None:
        """A small file's content, None where there is no such file."""
        try:
            if self._system.get_file_info(self._path(name)).type is not fs.FileType.File:
                return None
            with self._system.open_input_stream(self._path(name)) as stream:
                return stream.read()
        except OSError as error:
            raise self._failed(name, "cannot be read", error) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a small file: it appears whole or not at all."""
        try:
            with self._system.open_output_stream(self._path(name)) as stream:
                stream.write(content)
        except OSError as error:
            raise self._failed(name, "cannot be written", error) from error

    def download(self, name: str, path: Path, modified_ns: int = 0) -> None:
        """Copy one file to ``path``, which then has the stored file's time of change where that is given."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._copy(self._path(name), str(path), self._system, fs.LocalFileSystem(), name)
        if modified_ns:
            os.utime(path, ns=(modified_ns, modified_ns))

    def upload(self, path: Path, name: str) -> None:
        self._copy(str(path), self._path(name), fs.LocalFileSystem(), self._system, name)

    def delete(self, names: list[str]) -> None:
        for name in names:
            try:
                self._system.delete_file(self._path(name))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._failed(name, "cannot be removed", error) from error

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name) if name else self._root

    def _copy(self, source: str, target: str, source_files: Any, target_files: Any, name: str) -> None:
        try:
            fs.copy_files(source, target, source_filesystem=source_files, destination_filesystem=target_files)
        except OSError as error:
            raise self._failed(name, "cannot be copied", error) from error

    def _failed(self, name: str, what: str, error: OSError) -> ArtifactError:
        place = f"{self.uri}/{name}" if name else self.uri
        return ArtifactError(
            f"{place}: {what}: {str(error).splitlines()[0]}; check the bucket, the credentials, and {ENDPOINT} "
            f"(now {os.environ.get(ENDPOINT) or 'unset'})"
        )


def _s3_options(scheme: str) -> dict[str, Any]:
    endpoint = os.environ.get(ENDPOINT) or (MINIO_ENDPOINT if scheme == "minio" else "")
    if not endpoint:
        return {}
    protocol, _, address = endpoint.rpartition("://")
    return {
        "endpoint_override": address.rstrip("/"),
        "scheme": protocol or "https",
        "region": os.environ.get("AWS_REGION", REGION),
        "allow_bucket_creation": False,
    }
