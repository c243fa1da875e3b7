"""Gather entries of the stream, write them to the log, and only then acknowledge them."""

import logging
import time

from components.errors import ServingError
from serving.ending import Ending
from serving.log_writer.group import Delivered, WriterGroup
from serving.log_writer.online_log import OnlineLog
from serving.log_writer.settings import LogWriterSettings

POLL_S = 0.2
RETRY_S = 1.0
AT_ONCE = 1_000
TRIM_EVERY_S = 5.0  # so long what is written may take up the store's memory
_log = logging.getLogger(__name__)


class LogWriter:
    """One writer; several may share a group and a log.

    Attributes:
      written_count: entries written and acknowledged; rejected_count: of those, entries that are no record.
      repeated_count: entries acknowledged and not written, since their record had come in another one.
      lost_count: entries that the stream dropped, being full, before any writer had them.
    """

    def __init__(self, group: WriterGroup, log: OnlineLog, settings: LogWriterSettings) -> None:
        self._group, self._log, self._settings = group, log, settings
        self._gathered: dict[str, str] = {}
        self._gathered_since_s = self._claimed_at_s = self._trimmed_at_s = time.monotonic()
        self.written_count = self.rejected_count = self.repeated_count = self.lost_count = 0

    def run(self, ending: Ending) -> None:
        """Go on until ``ending`` is set, through whatever the store and the disk do; then write what is gathered.

        Raises:
          ServingError: that last part cannot be written or acknowledged; whoever writes next is given it again.
        """
        while not ending.is_set():
            try:
                found = self.gather()
                if self._is_due():
                    self.write()
                if time.monotonic() - self._trimmed_at_s >= TRIM_EVERY_S:
                    self.trim()
                if not found:
                    ending.wait(POLL_S)
            except ServingError as error:
                _log.error("%s; %s entries wait, and it is tried again", error, len(self._gathered))
                ending.wait(RETRY_S)
        self.write()

    def gather(self) -> int:
        """Take entries, as many as may be gathered, and those of dead writers when it is time; how many there were.

        Raises:
          ServingError: the store does not answer.
        """
        room = min(AT_ONCE, self._settings.max_entries - len(self._gathered))
        if room <= 0:
            return 0
        now_s = time.monotonic()
        delivered = Delivered({})
        if now_s - self._claimed_at_s >= self._settings.claim_after_s:
            delivered = self._group.claim(room, self._settings.claim_after_s)
            if len(delivered.entries) < room:  # else there may be more
                self._claimed_at_s = now_s
        if not delivered.entries and not delivered.trimmed:
            delivered = self._group.read(room)
        if not self._gathered:
            self._gathered_since_s = now_s
        self._gathered |= delivered.entries
        self._count_lost(delivered)
        return len(delivered.entries)

    def write(self) -> None:
        """Write what is gathered, then acknowledge it.

        Raises:
          ServingError: the disk takes nothing, or the store does not answer; what is gathered stays so.
        """
        if not self._gathered:
            return
        appended = self._log.append(self._gathered)
        self.rejected_count += appended.rejects
        self._group.acknowledge(list(self._gathered))
        self.repeated_count += appended.repeats
        self.written_count += len(self._gathered) - appended.repeats
        self._gathered = {}

    def trim(self) -> None:
        """Have the stream drop what is written, as far as no other group of readers needs it.

        Raises:
          ServingError: the store does not answer.
        """
        self._group.trim()
        self._trimmed_at_s = time.monotonic()

    def _is_due(self) -> bool:
        waited_s = time.monotonic() - self._gathered_since_s
        return len(self._gathered) >= self._settings.max_entries or waited_s >= self._settings.max_wait_s

    def _count_lost(self, delivered: Delivered) -> None:
        trimmed = {entry for entry in delivered.trimmed if entry not in self._gathered}
        lost = delivered.missed_count + len(trimmed - self._log.holds(trimmed) if trimmed else ())
        self._group.acknowledge(delivered.trimmed)
        if lost:
            self.lost_count += lost
            _log.error("%s entries are lost: the stream was full and dropped them before they were written", lost)
