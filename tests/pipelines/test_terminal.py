"""What the commands show: how far they are, and one message and an exit code where they fail, even on a full disk."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.local_runner import NodeEvent
from pipelines.terminal import NodeProgress, failing_clearly

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


def test_progress_stands_beside_what_a_program_reads(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from pipelines.terminal import quiet\n"
        f"with quiet(Path({str(tmp_path / 'run.log')!r}), as_json=True) as console:\n"
        "    print('noise')\n"
        "    console.print('progress')\n"
        "print('{}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{}\n", "progress\n")


def shown(terminal: bool, events: list[tuple[NodeEvent, float]]) -> str:
    """What stands on the console after events, each at its second."""
    now = 0.0
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=100, highlight=False)
    progress = NodeProgress(console, clock=lambda: now)
    for event, at_s in events:
        now = at_s
        progress(event)
    progress.stop()
    return output.getvalue()


LONG_NODE = [
    (NodeEvent("Trainer", 2, 3), 0.0),
    (NodeEvent("Trainer", 2, 3, said="epoch 1 of at most 9"), 20.0),
    (NodeEvent("Trainer", 2, 3, said="epoch 2 of at most 9 [a line]"), 40.0),
    (NodeEvent("Trainer", 2, 3, said="epoch 3 of at most 9 [last]"), 60.0),
    (NodeEvent("Trainer", 2, 3, seconds=70.0), 70.0),
]


def test_how_far_a_long_node_is_stands_in_lines_half_a_minute_apart() -> None:
    assert shown(False, LONG_NODE) == ("  2/3 Trainer: epoch 2 of at most 9 [a line]\n  2/3 Trainer              70.0 s\n")


def test_on_a_terminal_it_stands_in_the_moving_line() -> None:
    assert "2/3 Trainer: epoch 3 of at most 9 [last] …" in shown(True, LONG_NODE)
