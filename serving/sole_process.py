"""A place that is one process's alone."""

import fcntl
from io import BufferedWriter
from pathlib import Path

from components.errors import ServingError


def claimed(lock: Path, refusal: str) -> BufferedWriter:
    """The lock's file, held until it is closed or the process ends, however it ends.

    Raises:
      ServingError: ``refusal``, where another holds it; or the file system has no locks.
    """
    file = lock.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ServingError(refusal) from error
    except OSError as error:
        file.close()
        raise ServingError(f"{lock}: cannot be locked ({error.strerror}); wanted a file system with locks") from error
    return file
