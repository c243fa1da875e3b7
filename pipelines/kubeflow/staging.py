"""Artifacts on a volume that Beam's workers share with the node, while a cluster does its work.

The launcher keeps artifacts in folders of the node's own pod. Where ``SHARED_ENV`` names a folder that the workers see too,
the node works there: inputs are copied in first, outputs and the message that tells of them are copied out at the end.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SHARED_ENV = "WINNOW_SHARED"


@dataclass(frozen=True)
class Staging:
    """``root`` stands for the launcher's root; None where the node works in the launcher's folders themselves."""

    root: Path | None

    def copied_in(self, path: Path, launcher_root: Path) -> None:
        """An artifact that the launcher has downloaded."""
        if self.root is not None:
            _copy(path, self.root / path.relative_to(launcher_root))

    def copied_out(self, path: Path, launcher_root: Path) -> None:
        """An artifact that the node has made, to where the launcher uploads it from."""
        if self.root is not None:
            _copy(self.root / path.relative_to(launcher_root), path)


@contextmanager
def staging() -> Iterator[Staging]:
    """What the environment asks for. Each attempt has a folder of its own, which is gone afterwards."""
    shared = os.environ.get(SHARED_ENV)
    if not shared:
        yield Staging(None)
        return
    folder = Path(shared) / f"winnow-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    tempfile.tempdir = str(folder)  # what a node keeps aside for its Beam work, the workers are to see too
    try:
        yield Staging(folder)
    finally:
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
