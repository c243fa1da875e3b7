"""The stream of what was shown and what users did, in Valkey or Redis, written behind the replies.

A record that the stream does not take is kept in a file and sent later; one that no file takes either is counted as lost.
Nothing here ever makes a request wait or fail.
"""

import json
import logging
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.store_client import STORE_ERRORS, store_client

STREAM = "winnow:log"
MAX_WAITING = 10_000
AT_ONCE = 500
MAX_LENGTH = 1_000_000  # entries that the stream holds, about; what no writer has taken by then is lost, and counted there
RETRY_S = 1.0
_log = logging.getLogger(__name__)

Record = Mapping[str, Any]


class EventStream:
    """Appends records in a thread of its own.

    Attributes:
      sent_count, kept_count, lost_count: records that the stream took, that wait in the file, that neither took.
    """

    def __init__(self, url: str, unsent: Path, timeout_s: float = 1.0) -> None:
        """
        Args:
          unsent: the file that keeps what could not be sent, one JSON object a line; an earlier process's is sent first.
        """
        self._client = store_client(url, timeout_s)
        self._unsent = unsent
        self._waiting: queue.Queue[Record | None] = queue.Queue(MAX_WAITING)
        self.sent_count = self.lost_count = 0
        unsent.parent.mkdir(parents=True, exist_ok=True)
        self.kept_count = _line_count(unsent)
        self._thread = threading.Thread(target=self._run, name="event-stream", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Hand a record over; returns at once."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.lost_count += 1

    def close(self) -> None:
        """Send or keep what is waiting."""
        self._waiting.put(None)
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while True:
            try:
                batch = [self._waiting.get(timeout=RETRY_S)]
            except queue.Empty:
                batch = []
            while len(batch) < AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            records = [record for record in batch if record is not None]
            if self._resend() and self._send([json.dumps(record) for record in records]):
                self.sent_count += len(records)
            else:
                self._keep(records)
            if None in batch:
                return

    def _send(self, lines: Sequence[str]) -> bool:
        if not lines:
            return True
        try:
            with self._client.pipeline(transaction=True) as pipeline:  # all of them or none
                for line in lines:
                    pipeline.xadd(STREAM, {"record": line}, maxlen=MAX_LENGTH, approximate=True)
                pipeline.execute()
        except STORE_ERRORS as error:
            _log.warning("the event stream takes nothing (%s); records are kept in %s", error, self._unsent)
            return False
        return True

    def _resend(self) -> bool:
        """Send what the file keeps; whether nothing is left of it."""
        if not self._unsent.exists():
            return True
        try:
            text = self._unsent.read_text(encoding="utf-8")
        except OSError as error:
            _log.error("%s cannot be read (%s); what it keeps is not sent", self._unsent, error)
            return False
        lines = [line for line in text.splitlines() if line.endswith("}")]  # a crash may have cut the last one
        for start in range(0, len(lines), AT_ONCE):
            if not self._send(lines[start : start + AT_ONCE]):
                self._rewrite(lines[start:])
                return False
            self.sent_count += len(lines[start : start + AT_ONCE])
        self._unsent.unlink()
        self.kept_count = 0
        return True

    def _rewrite(self, lines: Sequence[str]) -> None:
        if len(lines) == self.kept_count:
            return
        partial = self._unsent.with_name(f".{self._unsent.name}.partial")
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(self._unsent)
        self.kept_count = len(lines)

    def _keep(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            with self._unsent.open("a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(record)}\n" for record in records)
                file.flush()
                os.fsync(file.fileno())
            self.kept_count += len(records)
        except OSError as error:
            _log.error("%s records are lost: %s cannot be written (%s)", len(records), self._unsent, error)
            self.lost_count += len(records)


def _line_count(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)
