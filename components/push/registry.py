"""The folder of releases, laid out so that TensorFlow Serving can watch it.

    releases/
      current, previous            the version that is served, and the one that was before it
      models.config                which versions of the models TensorFlow Serving loads: those two
      models/retrieval/3/          SavedModels under TensorFlow Serving's base paths
      models/ranker/3/
      bundles/3/manifest.json      written last: a bundle without it does not exist
      bundles/3/{index,item_to_item,catalogue,features}/, config.json, evaluation.json

The manifest names every file of the release with its SHA-256. A release appears by renames, models first, manifest last, so
a crash leaves at most folders that no manifest names; the next release takes a higher number.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.errors import ArtifactError
from components.funnel.parts import FunnelParts

MODELS = ("retrieval", "ranker")
MANIFEST_FILE, CURRENT_FILE, PREVIOUS_FILE, MODELS_FILE = "manifest.json", "current", "previous", "models.config"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What a release is made of.

    Attributes:
      format: of this file; version: of the release.
      created: UTC, ISO 8601.
      candidates: how many recalled items are ranked.
      fingerprint: of the sources and settings it was made from; compared_with: the release it was judged against, 0 for none.
      pushed_by: what its push is known by, empty where a push is never tried again.
      files: path from the registry's folder → SHA-256.
    """

    format: int
    version: int
    name: str
    created: str
    candidates: int
    fingerprint: str
    compared_with: int
    metrics: dict[str, float]
    files: dict[str, str]
    pushed_by: str = ""


class Registry:
    """The releases under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self) -> list[int]:
        """Published versions, ascending."""
        found = (path.parent.name for path in self.folder.glob(f"bundles/*/{MANIFEST_FILE}"))
        return sorted(int(name) for name in found if name.isdigit())

    def current(self) -> int | None:
        """The version that is served, None before the first release.

        Raises:
          ArtifactError: the note of it is damaged.
        """
        return self._noted(CURRENT_FILE)

    def previous(self) -> int | None:
        """The version that was served before the current one, None where there was none.

        Raises:
          ArtifactError: the note of it is damaged.
        """
        return self._noted(PREVIOUS_FILE)

    def _noted(self, file: str) -> int | None:
        path = self.folder / file
        if not path.exists():
            return None
        text = path.read_text()
        if not text.isdigit():
            raise ArtifactError(
                f"{path}: found {text!r}, wanted the number of a release; published versions are {self.versions() or 'none'}"
            )
        return int(text)

    def to_compare_with(self, fingerprint: str) -> int:
        """The release that a run made from ``fingerprint`` is judged against; 0 for none.

        A release is not judged against itself: a second run with nothing changed finds all its results still valid.
        """
        current = self.current()
        if current is None:
            return 0
        manifest = self.manifest(current)
        return manifest.compared_with if manifest.fingerprint == fingerprint else current

    def next_version(self) -> int:
        taken = [path.name for pattern in ("bundles/*", "models/*/*") for path in self.folder.glob(pattern)]
        return max((int(name) for name in taken if name.isdigit()), default=0) + 1

    def bundle(self, version: int) -> Path:
        return self.folder / "bundles" / str(version)

    def model(self, name: str, version: int) -> Path:
        return self.folder / "models" / name / str(version)

    def manifest(self, version: int) -> Manifest:
        """
        Raises:
          ArtifactError: there is no such release, or its manifest cannot be read.
        """
        path = self.bundle(version) / MANIFEST_FILE
        try:
            raw = json.loads(path.read_text())
            if raw["format"] != FORMAT:
                raise ArtifactError(f"{path}: has format {raw['format']}, wanted {FORMAT}; publish the release again")
            return Manifest(**raw)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{path}: cannot be read ({error}); published versions are {self.versions() or 'none'}"
            ) from error

    def fetch(self, version: int, under: str = "") -> None:
        """Have a release's files, or those whose place begins with ``under``, in ``folder``, where they always are here."""

    def place(self, version: int) -> str:
        """Where others find the bundle of a release."""
        return str(self.bundle(version))

    def funnel_parts(self, version: int) -> FunnelParts:
        return FunnelParts(
            retrieval=str(self.model("retrieval", version)),
            ranker=str(self.model("ranker", version)),
            index=str(self.bundle(version) / "index"),
            candidates=self.manifest(version).candidates,
        )

    def verify(self, version: int) -> None:
        """Compare every file with the manifest.

        Raises:
          ArtifactError: names the first file that is missing or differs.
        """
        for name, wanted in self.manifest(version).files.items():
            path = self.folder / name
            if not path.is_file():
                raise ArtifactError(f"{path}: is missing from release {version}")
            found = sha256(path)
            if found != wanted:
                raise ArtifactError(f"{path}: has SHA-256 {found}, the manifest of release {version} wants {wanted}")

    def publish(
        self,
        name: str,
        models: Mapping[str, Path],
        parts: Mapping[str, Path],
        documents: Mapping[str, str],
        candidates: int,
        fingerprint: str,
        compared_with: int,
        metrics: Mapping[str, float],
        pushed_by: str = "",
    ) -> int:
        """Copy everything, verify the copies, make the release appear, and make it the current one.

        Args:
          models: folder of the SavedModel of each of ``MODELS``.
          parts: folders of the bundle by name; documents: its text files by name.
          pushed_by: names the push, so that the same one tried again after a crash makes no second release.

        Returns:
          The new version.
        """
        done = [each for each in self.versions() if pushed_by and self.manifest(each).pushed_by == pushed_by]
        if done:
            if (self.current() or 0) < done[-1]:
                self.make_current(done[-1])
            return done[-1]
        self._remove_left_by(pushed_by)
        version = self.next_version()
        incoming = self.folder / f".incoming-{version}"
        copies = {f"models/{model}/{version}": source for model, source in models.items()}
        copies |= {f"bundles/{version}/{part}": source for part, source in parts.items()}
        files: dict[str, str] = {}
        for place, source in copies.items():
            shutil.copytree(source, incoming / place)
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    files[f"{place}/{path.relative_to(source)}"] = sha256(path)
        for document, text in documents.items():
            path = incoming / "bundles" / str(version) / document
            path.write_text(text)
            files[f"bundles/{version}/{document}"] = sha256(path)
        for place, wanted in files.items():
            if sha256(incoming / place) != wanted:
                raise ArtifactError(f"{incoming / place}: differs from what was copied; is the disk full or failing?")
        manifest = Manifest(
            format=FORMAT,
            version=version,
            name=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            candidates=candidates,
            fingerprint=fingerprint,
            compared_with=compared_with,
            metrics=dict(metrics),
            files=files,
            pushed_by=pushed_by,
        )
        for model in models:
            self.model(model, version).parent.mkdir(parents=True, exist_ok=True)
            (incoming / "models" / model / str(version)).rename(self.model(model, version))
        self.bundle(version).parent.mkdir(parents=True, exist_ok=True)
        (incoming / "bundles" / str(version)).rename(self.bundle(version))
        write_atomically(self.bundle(version) / MANIFEST_FILE, json.dumps(asdict(manifest), indent=1))
        shutil.rmtree(incoming)
        self.make_current(version)
        return version

    def _remove_left_by(self, pushed_by: str) -> None:
        """Remove what a push that was killed has left: here nobody else pushes now, so it may be anyone's."""
        del pushed_by
        for left in self.folder.glob(".incoming-*"):
            shutil.rmtree(left)

    def make_current(self, version: int) -> None:
        """Serve ``version`` from now on.

        Raises:
          ArtifactError: there is no such release.
        """
        self.manifest(version)
        before = self.current()
        if before not in (None, version) and self._is_whole(before):  # a damaged one was served by nobody
            write_atomically(self.folder / PREVIOUS_FILE, str(before))
        self.write_models_file(version)
        write_atomically(self.folder / CURRENT_FILE, str(version))

    def roll_back(self) -> int:
        """Serve the previous release again, or the newest before it whose files are whole; a second time undoes the first.

        Returns:
          Its version.

        Raises:
          ArtifactError: there is none.
        """
        current, previous = self.current(), self.previous()
        older = [each for each in reversed(self.versions()) if current is not None and each < current and each != previous]
        choices = [each for each in (previous, *older) if each not in (None, current)]
        version = next((each for each in choices if self._is_whole(each)), None)
        if version is None:
            if current is None:
                raise ArtifactError(f"{self.folder}: no release is served, wanted one to go back from; winnow run makes one")
            damaged = f"; damaged: {', '.join(map(str, choices))}" if choices else ""
            raise ArtifactError(f"{self.folder}: holds no whole release before {current}, wanted one to go back to{damaged}")
        self.make_current(version)
        return version

    def _is_whole(self, version: int) -> bool:
        try:
            self.verify(version)
        except ArtifactError:
            return False
        return True

    def write_models_file(self, current: int) -> Path:
        """TensorFlow Serving's model config file, for this folder where it lies now: ``current`` and the release before it.

        A server that polls it has the new models while the old ones still answer, and the old ones after a roll-back.
        """
        versions = "".join(f" versions: {each}" for each in sorted({current, self.previous() or current}))
        models = "".join(
            f"  config {{\n    name: {json.dumps(name)}\n"
            f"    base_path: {json.dumps(str(self.folder.resolve() / 'models' / name))}\n"
            f'    model_platform: "tensorflow"\n    model_version_policy {{ specific {{{versions} }} }}\n  }}\n'
            for name in MODELS
        )
        path = self.folder / MODELS_FILE
        write_atomically(path, f"model_config_list {{\n{models}}}\n")
        return path


def write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
