"""What the commands show: progress and results on the terminal, the libraries' noise in a log file."""

import errno
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from components.errors import WinnowError, causes

if TYPE_CHECKING:
    from pipelines.local_runner import NodeEvent

INTERRUPTED, UNEXPECTED = 130, 70
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the result as a JSON object on standard output; progress goes to standard error."),
]
LINE_EVERY_S = 30
DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "database or disk is full")  # as Beam and SQLite tell it


@contextmanager
def quiet(log: Path, as_json: bool = False) -> Iterator[Console]:
    """A console on the terminal, while all else that is written, by Python or by C++, goes to ``log``.

    Where the result is to be JSON, the console is on standard error, so that standard output holds nothing else.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    with (
        log.open("ab") as file,
        os.fdopen(terminal, "w", buffering=1) as output,
        os.fdopen(errors, "w", buffering=1) as messages,
    ):
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield Console(file=messages if as_json else output, highlight=False)
        finally:
            _flush_or_drop()
            os.dup2(output.fileno(), 1)
            os.dup2(messages.fileno(), 2)


def _flush_or_drop() -> None:
    """Write out what is still to be written to the log, or do without where its disk is full."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.stdout.flush()
        sys.stderr.flush()


@contextmanager
def failing_clearly(log: Path | None = None) -> Iterator[None]:
    """Turn an error into one message on standard error and an exit code.

    A ``KeyboardInterrupt`` with a text says by it what becomes of the work.
    """
    hint = f" All that was logged is in {log}." if log else ""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        yield
    except WinnowError as error:
        console.print(f"winnow: {error}", style="bold red", markup=False)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        console.print(f"winnow: interrupted; {str(error) or 'what was finished is kept'}", style="yellow", markup=False)
        raise SystemExit(INTERRUPTED) from error
    except Exception as error:
        told = _of_the_disk(error, log)
        if told is not None:
            console.print(f"winnow: {told}.{hint}", style="bold red", markup=False)
            raise SystemExit(1) from error
        if log is None:
            raise
        with log.open("a") as file:
            traceback.print_exc(file=file)
        text = (
            f"winnow: {type(error).__name__}: {str(error).strip()[:2000]}\nThis is a defect of winnow or of its set-up.{hint}"
        )
        console.print(text, style="bold red", markup=False)
        raise SystemExit(UNEXPECTED) from error


def _of_the_disk(error: BaseException, log: Path | None) -> str | None:
    """What cannot be written and why, where that has led to ``error``."""
    somewhere = f"a file in {log.parent}" if log else "a file"
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        return f"{error.filename or somewhere} cannot be written: {error.strerror}. Choose another folder"
    for each in causes(error):
        full = isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or any(text in str(each) for text in DISK_FULL):
            file = getattr(each, "filename", None) or somewhere
            return f"{file} cannot be written: the disk is full. Make room or choose another folder; what was finished is kept"
    return None


class NodeProgress:
    """A line for each node that has ended, and a moving one for the work at hand where a person is looking.

    How far a long node is stands in the moving line, and elsewhere in lines of its own, ``LINE_EVERY_S`` apart or more.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._status: Status | None = None
        self._started = self._last_line = clock()

    def begin(self, headline: str) -> None:
        self._console.print(headline, markup=False, soft_wrap=True)
        self._busy("Starting TFX")

    def __call__(self, event: "NodeEvent") -> None:
        place = f"{event.place:>3}/{event.count}"
        if event.said is not None:
            self._far(f"{place} {event.node}", event.said)
            return
        self._idle()
        self._last_line = self._clock()
        if event.seconds is None:
            self._busy(f"{place} {event.node}")
            return
        took = "unchanged, from the last run" if event.cached else f"{event.seconds:6.1f} s"
        self._console.print(f"{place} {event.node:<18} {took}", markup=False)

    def stop(self) -> float:
        """Seconds since the start."""
        self._idle()
        return self._clock() - self._started

    def _far(self, node: str, said: str) -> None:
        if self._status is not None:
            self._status.update(Text(f"{node}: {said} …"))
        elif self._clock() - self._last_line >= LINE_EVERY_S:
            self._last_line = self._clock()
            self._console.print(f"{node}: {said}", markup=False, soft_wrap=True)

    def _busy(self, what: str) -> None:
        if self._console.is_terminal:
            self._status = self._console.status(f"{what} …")
            self._status.start()

    def _idle(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
