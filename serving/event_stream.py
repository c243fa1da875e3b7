"""The stream of what was shown and what users did, in Valkey or Redis.

A record that the stream does not take is kept in a file and sent later. What was shown is written behind the replies: no list
waits for the store or fails, and a record that no file takes either is counted as lost. What users did is written before the
reply, which tells them that it will not be lost.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.errors import ServingError
from serving.store_client import store_client
from serving.unsent_file import UnsentFile

STREAM = "winnow:log"
MAX_WAITING = 10_000
AT_ONCE = 500
MAX_LENGTH = 1_000_000  # entries that the stream holds, about; what no writer has taken by then is lost, and counted there
GATHER_S = 0.05  # records that come in this time are sent together, when the replies that they tell of are long gone
RETRY_S = 1.0
CLOSE_S = 5.0  # for sending when it is closed; what is left then is kept
STUCK_S = 15.0  # after which a thread that a store or a disk holds up is left behind
_log = logging.getLogger(__name__)

Record = Mapping[str, Any]
Making = Callable[[], Record]
Lines = Sequence[bytes]


class EventStream:
    """Sends records in a thread of its own.

    Attributes:
      sent_count: records that the stream took.
    """

    def __init__(
        self, url: str, unsent: Path, prepare: Callable[[Lines], Lines] = lambda lines: (), timeout_s: float = 1.0
    ) -> None:
        """
        Args:
          unsent: the file that keeps what could not be sent, one JSON object a line; an earlier process's is sent first.
          prepare: does what is still to be done with lines of the file before they are sent, and gives back those with which
            it cannot be done yet: they go to the file's end, so that the others need not wait. It may be given the same again.

        Raises:
          ServingError: another process has that file.
        """
        self._client, self._prepare = store_client(url, timeout_s), prepare
        self._unsent = UnsentFile(unsent)
        self._waiting: queue.Queue[Making | None] = queue.Queue(MAX_WAITING)
        self._closing, self._close_at_s = threading.Event(), 0.0
        self._noting, self._own_lost_count, self._troubles = threading.Lock(), 0, set[str]()
        self.sent_count = 0
        try:
            self._unsent.look()
        except OSError as error:
            self._complain("read", f"{unsent} cannot be read ({error}); what it keeps is not sent")
        self._thread = threading.Thread(target=self._run, name="event-stream", daemon=True)
        self._thread.start()

    @property
    def kept_count(self) -> int:
        """Records that wait in the file."""
        return self._unsent.count

    @property
    def lost_count(self) -> int:
        """Records that neither the stream nor the file took."""
        return self._own_lost_count + self._unsent.vanished_count

    def append(self, *records: Making) -> None:
        """Hand records over, to be made by the stream's thread. Returns at once; where too many wait already, after writing
        to the file."""
        for place, record in enumerate(records):
            try:
                self._waiting.put_nowait(record)
            except queue.Full:
                self._keep(self._lines(records[place:]))
                return

    def put(self, records: Sequence[Record], are_prepared: bool) -> None:
        """Have records in the stream, or else in the file, when it returns: both outlive this process, the file the machine.

        Args:
          are_prepared: False has them wait in the file, from which ``prepare`` gets them.

        Raises:
          ServingError: neither takes all of them; whoever sends them again is to send all.
        """
        lines = [json.dumps(record).encode() for record in records]
        if are_prepared and self._send(lines):
            return
        try:
            taken = self._unsent.put(lines)
        except OSError as error:
            raise ServingError(f"the store does not answer, and {self._unsent.path} cannot be written ({error})") from error
        if taken < len(lines):
            raise ServingError(f"the store does not answer, and {self._unsent.path} is full; send the events again later")
        self._is_well("write", "room")
        self._sync()

    def close(self) -> None:
        """Send or keep what is waiting."""
        self._close_at_s = time.monotonic() + CLOSE_S
        self._closing.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)  # nobody waits for one then
        self._thread.join(STUCK_S)
        if self._thread.is_alive():
            self._lose(self._waiting.qsize(), "stuck", "neither the store nor the disk answers")
        else:
            while records := self._take(0):
                self._keep(self._lines(records))
            self._sync()
        self._unsent.close()
        self._client.close()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            took = False
            try:
                took = self._turn()
            except Exception as error:  # whatever it is, the records after these are to be sent
                self._complain(f"turn {type(error)}", f"the event stream goes on after an error: {error!r}")
                self._closing.wait(RETRY_S)
            goes_on = not self._closing.is_set() or (took and time.monotonic() < self._close_at_s)

    def _turn(self) -> bool:
        """Send some of what the file keeps and some of what waits; whether the store took any."""
        answers = not self._unsent.count or self._answers()
        resent = self._unsent.count > 0 and answers and self._resend()
        lines = self._lines(self._take(0 if resent or self._closing.is_set() else RETRY_S))
        if not lines:
            return resent
        if answers and self._send(lines):
            return True
        self._keep(lines)
        self._sync()
        return resent

    def _take(self, wait_s: float) -> list[Making]:
        batch: list[Making | None] = []
        with suppress(queue.Empty):
            batch.append(self._waiting.get(timeout=wait_s))
            self._closing.wait(GATHER_S)
            while len(batch) < AT_ONCE:
                batch.append(self._waiting.get_nowait())
        return [record for record in batch if record is not None]

    def _lines(self, records: Sequence[Making]) -> list[bytes]:
        lines = []
        for make in records:
            try:
                lines.append(json.dumps(make()).encode())
            except Exception as error:  # of one record, which must not take its neighbours along
                self._lose(1, "record", f"it is no JSON ({error})")
        return lines

    def _answers(self) -> bool:
        try:
            self._client.exists(STREAM)  # of a cluster this asks the stream's node alone, where a ping asks all
        except Exception as error:
            self._refused(error)
            return False
        return True

    def _send(self, lines: Lines) -> bool:
        try:
            with self._client.pipeline(transaction=True) as pipeline:  # all of them or none
                for line in lines:
                    pipeline.xadd(STREAM, {"record": line}, maxlen=MAX_LENGTH, approximate=True)
                pipeline.execute()
        except Exception as error:  # not the store's alone: whatever it is, the lines are kept
            self._refused(error)
            return False
        with self._noting:
            self.sent_count += len(lines)
        self._is_well("store")
        return True

    def _resend(self) -> bool:
        """Send the oldest lines of the file, as far as they can be prepared; whether the store took any."""
        try:
            unsent = self._unsent.first(AT_ONCE)
        except OSError as error:
            self._complain("read", f"{self._unsent.path} cannot be read ({error}); what it keeps is not sent")
            return False
        if not unsent.lines:
            return False
        unprepared = self._unprepared(unsent.lines)
        ready = [line for line in unsent.lines if line not in unprepared]
        if ready and not self._send(ready):
            return False
        if unprepared:
            nothing_else_waits = not ready and len(unsent.lines) == self._unsent.count
            if nothing_else_waits or not self._put_back([line for line in unsent.lines if line in unprepared]):
                return bool(ready)
        try:
            self._unsent.forget(unsent)
        except OSError as error:
            self._complain("forget", f"{self._unsent.path}: the next process will send some of it again ({error})")
        return bool(ready)

    def _unprepared(self, lines: Lines) -> set[bytes]:
        try:
            unprepared = set(self._prepare(lines))
        except Exception as error:  # whatever it is, the records that come after these are to be sent
            self._complain("prepare", f"what {self._unsent.path} keeps has to wait ({error})")
            return set(lines)
        if not unprepared:
            self._is_well("prepare")
        return unprepared

    def _put_back(self, lines: Lines) -> bool:
        """Have lines at the end of the file too; False leaves all as it was, and what was sent is sent again."""
        try:
            return self._unsent.put(lines) == len(lines)
        except OSError as error:
            self._complain("write", f"{self._unsent.path} cannot be written ({error})")
            return False

    def _keep(self, lines: Lines) -> None:
        if not lines:
            return
        try:
            taken = self._unsent.put(lines)
        except Exception as error:
            self._lose(len(lines), "write", f"{self._unsent.path} cannot be written ({error})")
            return
        if taken < len(lines):
            self._lose(len(lines) - taken, "room", f"{self._unsent.path} is full")
        else:
            self._is_well("write", "room")

    def _sync(self) -> None:
        if not self._unsent.count:
            return
        try:
            self._unsent.sync()
        except OSError as error:
            self._complain("sync", f"{self._unsent.path} would not outlive a crash of the machine ({error})")

    def _refused(self, error: Exception) -> None:
        self._complain("store", f"the event stream takes nothing ({error}); records are kept in {self._unsent.path}")

    def _lose(self, count: int, kind: str, reason: str) -> None:
        with self._noting:
            self._own_lost_count += count
        self._complain(kind, f"{count} records are lost, and maybe more after them: {reason}")

    def _complain(self, kind: str, message: str) -> None:
        """Once, until it is well again: a trouble may last for thousands of turns."""
        with self._noting:
            if kind in self._troubles:
                return
            self._troubles.add(kind)
        _log.error(message)

    def _is_well(self, *kinds: str) -> None:
        with self._noting:
            self._troubles.difference_update(kinds)
