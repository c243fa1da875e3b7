"""The versions of a model on disk: numbered folders under its base path."""

from pathlib import Path

MODEL_FILE = "saved_model.pb"
_MAX_VERSION = 2**63 - 1


def find_versions(base_path: Path) -> dict[int, Path]:
    """Version number to folder, for each numbered folder that holds a ``saved_model.pb``.

    That file is written last by whoever publishes, so a folder without it is still being written. Raises OSError
    where the base path cannot be listed.
    """
    versions: dict[int, Path] = {}
    for folder in sorted(base_path.iterdir()):
        name = folder.name
        if name.isascii() and name.isdigit() and int(name) <= _MAX_VERSION and (folder / MODEL_FILE).is_file():
            versions[int(name)] = folder
    return versions
