"""The file of records that the event stream has not taken yet."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from serving.sole_process import claimed

MAX_BYTES = 256 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Unsent:
    """The oldest lines of the file; ``end`` is where the next one begins."""

    lines: tuple[bytes, ...]
    end: int


class UnsentFile:
    """Lines, taken out in the order in which they came. Threads may put in while one takes out.

    What is sent stays in the file until all of it is; how far that is, is written beside it after each batch. So whoever
    follows a process that died repeats one batch at most.

    Args:
      max_bytes: of the file.

    Attributes:
      path: of the file, which is there only while something waits.
      count: lines that wait.
      vanished_count: lines that someone else has taken away.

    Raises:
      ServingError: another process has the file.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path, self._max_bytes = path, max_bytes
        self._mark = path.with_name(f"{path.name}.sent")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._claim = claimed(
            path.with_name(f"{path.name}.lock"),
            f"{path}: another process keeps its unsent events there; end that one, or use another --workdir",
        )
        self._lock = threading.Lock()
        self._begin = self._end = 0  # of the lines that wait, in bytes; what lies behind them is a write that failed
        self._is_measured = False
        self.count = self.vanished_count = 0

    def look(self) -> None:
        """Find what an earlier process has left. All else does so too, where it has not been possible yet.

        Raises:
          OSError: the file cannot be read.
        """
        with self._lock:
            self._look()

    def put(self, lines: Sequence[bytes]) -> int:
        """How many of the lines were written, the first ones; there is no room for the others.

        Raises:
          OSError: the file cannot be written, and none of the lines is in it.
        """
        with self._lock:
            self._look()
            sizes = accumulate(len(line) + 1 for line in lines)
            fitting = lines[: sum(self._end + size <= self._max_bytes for size in sizes)]
            if fitting:
                content = b"".join(line + b"\n" for line in fitting)
                with self.path.open("ab") as file:
                    file.truncate(self._end)
                    file.write(content)
                self._end += len(content)
                self.count += len(fitting)
            return len(fitting)

    def sync(self) -> None:
        """Bring what was put in through a crash of the machine, too; nobody else waits for this.

        Raises:
          OSError: it cannot be done.
        """
        with self.path.open("ab") as file:
            os.fsync(file.fileno())

    def first(self, count: int) -> Unsent:
        """Up to ``count`` lines, which stay in the file until they are forgotten.

        Raises:
          OSError: the file cannot be read.
        """
        with self._lock:
            self._look()
            begin, end = self._begin, self._end
        lines: list[bytes] = []
        if begin < end:
            with self.path.open("rb") as file:
                file.seek(begin)
                while begin < end and len(lines) < count and (line := file.readline(end - begin)):
                    begin += len(line)
                    lines.append(line.rstrip(b"\n"))
        return Unsent(tuple(lines), begin)

    def forget(self, unsent: Unsent) -> None:
        """
        Raises:
          OSError: what is forgotten cannot be written down; the next process gets it again, this one does not.
        """
        with self._lock:
            self._begin = min(unsent.end, self._end)
            self.count = max(0, self.count - len(unsent.lines))
            if self._begin < self._end:
                partial = self._mark.with_name(f".{self._mark.name}.partial")
                partial.write_text(str(self._begin))
                partial.replace(self._mark)
                return
            self._begin = self._end = self.count = 0
            if self.path.exists():
                os.truncate(self.path, 0)  # first, so that the mark fits no file until it is gone
                self._mark.unlink(missing_ok=True)
                self.path.unlink()

    def close(self) -> None:
        self._claim.close()

    def _look(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if self._is_measured and size >= self._end:
            return
        known = self.count
        self._begin = _number(self._mark)
        if self._begin > size:  # it is of a file that is gone
            self._mark.unlink()
            self._begin = 0
        self._end, self.count = self._begin, 0
        if size:
            with self.path.open("rb") as file:
                file.seek(self._begin)
                position = self._begin
                while chunk := file.read(_CHUNK_BYTES):
                    self.count += chunk.count(b"\n")
                    if (last := chunk.rfind(b"\n")) >= 0:  # a crash may have cut what follows the last
                        self._end = position + last + 1
                    position += len(chunk)
        self._is_measured = True
        self.vanished_count += max(0, known - self.count)


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0
