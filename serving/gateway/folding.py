"""Events into their users' states: as they come, or later where the store was away when they came."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from pydantic import ValidationError

from components.errors import ServingError
from serving.gateway.api import Event, EventsReply
from serving.gateway.experiments import Funnels
from serving.records import EventRecord, parse_record
from serving.state_store import StoredEvent

AnyEvent = TypeVar("AnyEvent", Event, EventRecord)
PATIENCE_S = 5.0  # with all users together, some of whom may be on a node that is away
_log = logging.getLogger(__name__)


def fold_now(funnels: Funnels, events: Sequence[Event]) -> EventsReply:
    """Fold what the store takes; all else is deferred, from the first user on with whom it fails.

    A store that hangs when a user is looked up is given up after a read's budget, one that does later after a write's time.
    """
    by_user = _by_user(funnels, events)
    known = sum(map(len, by_user))
    new = done = 0
    with suppress(ServingError):
        for of_user in by_user:
            new += _fold(funnels, of_user, patient=False)
            done += len(of_user)
    return EventsReply(folded=new, repeated=done - new, ignored=len(events) - known, deferred=known - done)


def fold_later(funnels: Funnels, lines: Sequence[bytes]) -> list[bytes]:
    """Fold the events among records in JSON; gives back those of users of whom the store takes nothing now.

    What is no record is passed over, and what was folded before changes nothing.
    """
    records = {line: record for line in lines if (record := _event(line)) is not None}
    give_up_s = time.monotonic() + PATIENCE_S
    unfolded: set[str] = set()
    for of_user in _by_user(funnels, records.values()):
        try:
            if time.monotonic() > give_up_s:
                raise ServingError("the state store takes too long")
            _fold(funnels, of_user, patient=True)
        except ServingError as error:
            if not unfolded:
                _log.warning("events of %r, and maybe of others, are not folded yet: %s", of_user[0].user_id, error)
            unfolded.add(of_user[0].user_id)
    return [line for line, record in records.items() if record.user_id in unfolded]


def _event(line: bytes) -> EventRecord | None:
    with suppress(ValidationError):
        record = parse_record(line)
        if isinstance(record, EventRecord):
            return record
    return None


def _by_user(funnels: Funnels, events: Iterable[AnyEvent]) -> list[list[AnyEvent]]:
    """Those of types that enter the history, in their order."""
    by_user: dict[str, list[AnyEvent]] = {}
    for event in events:
        if event.type in funnels.release.form.types:
            by_user.setdefault(event.user_id, []).append(event)
    return list(by_user.values())


def _fold(funnels: Funnels, events: Sequence[AnyEvent], patient: bool) -> int:
    """How many of one user's events were new."""
    user_id = events[0].user_id
    if not funnels.store.knows(user_id, patient) and (snapshot := funnels.release.snapshot(user_id)) is not None:
        funnels.store.seed(user_id, *snapshot)
    stored = [StoredEvent(event.event_id, event.item_id, event.timestamp_ms, event.value, event.type) for event in events]
    return funnels.store.fold(user_id, stored)
