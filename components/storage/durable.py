"""What is on the disk stays there when the machine loses its power."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have the disk take a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
