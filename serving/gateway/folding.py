"""Events into their users' states: as they come, or later where the store was away when they came."""

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


def fold_now(funnels: Funnels, events: Sequence[Event]) -> EventsReply:
    """Fold what the store takes; all else is deferred, from the first user on with whom it fails.

    A store that hangs is given up after a read's budget.
    """
    by_user = _by_user(funnels, events)
    known = sum(map(len, by_user))
    new = done = 0
    with suppress(ServingError):
        for of_user in by_user:
            new += _fold(funnels, of_user, patient=False)
            done += len(of_user)
    return EventsReply(folded=new, repeated=done - new, ignored=len(events) - known, deferred=known - done)


def fold_later(funnels: Funnels, lines: Sequence[bytes]) -> None:
    """Fold the events among records in JSON. What is no record is passed over; what was folded before changes nothing.

    Raises:
      ServingError: the state store does not answer; all may be folded again.
    """
    for of_user in _by_user(funnels, _events(lines)):
        _fold(funnels, of_user, patient=True)


def _events(lines: Sequence[bytes]) -> Iterable[EventRecord]:
    for line in lines:
        with suppress(ValidationError):
            record = parse_record(line)
            if isinstance(record, EventRecord):
                yield record


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
