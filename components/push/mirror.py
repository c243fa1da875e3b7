"""The releases in an object store, through a folder of this machine that holds what is asked for.

A release appears there as it does in a folder (``components.push.registry``): its files, then its manifest, then the note
of the current version. A push that is killed leaves a note ``incoming/N`` beside files that no manifest names; the same push
tried again removes them first. TensorFlow Serving's ``models.config`` holds absolute paths: who serves from a copy writes it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.errors import ArtifactError
from components.push.registry import CURRENT_FILE, MANIFEST_FILE, PREVIOUS_FILE, Registry, sha256
from components.storage.object_store import ObjectStore, is_uri

INCOMING = "incoming"


@contextmanager
def open_registry(place: str) -> Iterator[Registry]:
    """The releases at ``place``, a folder or a URI."""
    if not is_uri(place):
        yield Registry(Path(place))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield MirroredRegistry(ObjectStore(place), Path(folder))


class MirroredRegistry(Registry):
    """Manifests and notes are here from the start, a release's files from ``fetch`` on; what is made here goes to the store."""

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        super().__init__(folder)
        self._store = store
        for each in store.files():
            *place, name = each.name.split("/")
            if not place or name == MANIFEST_FILE:
                store.download(each.name, folder / each.name)
            elif place[0] in ("bundles", "models"):  # a folder without files here: its number is taken
                (folder / Path(*place[: 2 if place[0] == "bundles" else 3])).mkdir(parents=True, exist_ok=True)

    def place(self, version: int) -> str:
        return f"{self._store.uri}/bundles/{version}"

    def fetch(self, version: int, under: str = "") -> None:
        """
        Raises:
          ArtifactError: there is no such release, or a file of it differs from its manifest.
        """
        for name, wanted in self.manifest(version).files.items():
            path = self.folder / name
            if name.startswith(under) and not path.exists():
                self._store.download(name, path)
                if sha256(path) != wanted:
                    raise ArtifactError(f"{self._store.uri}/{name}: differs from the manifest of release {version}")

    def make_current(self, version: int) -> None:
        self._upload(version)
        super().make_current(version)
        for name in (PREVIOUS_FILE, CURRENT_FILE):
            if (self.folder / name).exists():
                self._store.write(name, (self.folder / name).read_bytes())

    def _is_whole(self, version: int) -> bool:
        """Its files are mostly not here; whoever fetches them compares them with the manifest."""
        return version in self.versions()

    def _upload(self, version: int) -> None:
        """Make a release that was made here appear in the store, unless it is there already."""
        manifest_name = f"bundles/{version}/{MANIFEST_FILE}"
        if self._store.read(manifest_name) is not None:
            return
        manifest, note = self.manifest(version), f"{INCOMING}/{version}"
        self._store.write(note, manifest.pushed_by.encode())
        for name in manifest.files:
            self._store.upload(self.folder / name, name)
        self._store.upload(self.folder / manifest_name, manifest_name)
        self._store.delete([note])

    def _remove_left_by(self, pushed_by: str) -> None:
        """Remove what an earlier attempt at the same push had uploaded before it was killed; others' may be under way."""
        for each in self._store.files(INCOMING):
            note = f"{INCOMING}/{each.name}"
            if not pushed_by or self._store.read(note) != pushed_by.encode():
                continue
            if not (self.bundle(int(each.name)) / MANIFEST_FILE).exists():
                places = [
                    f"bundles/{each.name}",
                    *(f"models/{model.name}/{each.name}" for model in self.folder.glob("models/*")),
                ]
                self._store.delete([f"{place}/{file.name}" for place in places for file in self._store.files(place)])
                for place in places:
                    if (self.folder / place).exists():
                        (self.folder / place).rmdir()
            self._store.delete([note])
