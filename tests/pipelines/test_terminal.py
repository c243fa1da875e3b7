"""Errors end a command with one message and an exit code, also where nothing more can be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.terminal import failing_clearly

ROOT = Path(__file__).resolve().parents[2]
FULL = os.strerror(errno.ENOSPC)
NO_ROOM = "cannot be written: the disk is full. Make room or choose another folder; what was finished is kept."


def wrapped(cause: Exception) -> Exception:
    """An error that was met while another one was dealt with."""
    error = RuntimeError("the metadata store does not answer")
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "file"),
    [
        (OSError(errno.ENOSPC, FULL, "work/part.parquet"), "work/part.parquet"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "work/part.parquet"), "work/part.parquet"),
        (RuntimeError(f"OSError: [Errno 28] Error writing bytes to file. [errno 28] {FULL} [while running 'WriteDay']"), None),
        (RuntimeError("INTERNAL: Error when executing query: database or disk is full"), None),
        (wrapped(OSError(errno.ENOSPC, FULL)), None),
    ],
)
def test_a_full_disk_is_told_as_one(
    error: Exception, file: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "run.log"
    with pytest.raises(SystemExit) as ended, failing_clearly(log):
        raise error
    assert ended.value.code == 1
    shown = file or f"a file in {tmp_path}"
    assert capsys.readouterr().err == f"winnow: {shown} {NO_ROOM} All that was logged is in {log}.\n"


def test_a_forbidden_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, failing_clearly():
        raise PermissionError(errno.EACCES, "Permission denied", "/work")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "winnow: /work cannot be written: Permission denied. Choose another folder.\n"


def test_a_log_that_takes_nothing_hides_no_message() -> None:
    """/dev/full is a file whose disk is always full."""
    code = (
        "from pathlib import Path\n"
        "from components.errors import DataError\n"
        "from pipelines.terminal import failing_clearly, quiet\n"
        "with failing_clearly(), quiet(Path('/dev/full')) as console:\n"
        "    print('noise')\n"
        "    console.print('progress')\n"
        "    raise DataError('e.csv: odd')\n"
    )
    # Python's own buffer is what must be emptied in the end.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "progress\n", "winnow: e.csv: odd\n")
