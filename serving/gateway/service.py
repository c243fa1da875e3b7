"""The gateway as one object: the release at hand, the stores, and what each call does."""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from components.errors import ArtifactError, ConfigError, ServingError
from components.push.registry import Registry
from serving.event_stream import EventStream
from serving.gateway.api import Event, EventsReply, RecommendReply, RecommendRequest
from serving.gateway.errors import UnknownItemError
from serving.gateway.experiments import Funnels
from serving.gateway.item_api import ItemBody, ItemReply, SimilarItem, SimilarReply
from serving.gateway.live_items import LiveItems
from serving.gateway.logged import event_record, shown_record
from serving.gateway.recall import Allowed, Known
from serving.gateway.release import Release
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import StateStore, StoredEvent, StoreLimits

FOLLOW_S = 0.25  # between two looks at what has changed of the items
_log = logging.getLogger(__name__)


class Gateway:
    """Threads share one.

    Args:
      registry: of the releases; the one that it calls current is served, and taken up when it changes.
      unsent: the file for records that the event stream does not take.
    """

    def __init__(
        self, registry: Registry, models: ModelClient, store_url: str, unsent: Path, settings: GatewaySettings
    ) -> None:
        version = registry.current()
        if version is None:
            raise ServingError(f"{registry.folder}: holds no release yet; `winnow run` makes one")
        self._registry, self._models, self._settings, self._store_url = registry, models, settings, store_url
        self._stream = EventStream(store_url, unsent)
        self._live, self._swapping = LiveItems(store_url, models), threading.Lock()
        self._funnels = self._load(version)
        self._refused = 0
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="releases", daemon=True)
        self._watcher.start()
        self._follower = threading.Thread(target=self._follow, name="items", daemon=True)
        self._follower.start()

    @property
    def version(self) -> int:
        return self._funnels.release.version

    @property
    def published(self) -> datetime:
        """When the release that is served was."""
        return self._funnels.release.published

    @property
    def stream(self) -> EventStream:
        return self._stream

    def recommend(self, request: RecommendRequest) -> RecommendReply:
        moment_ms = request.timestamp_ms or time.time_ns() // 1_000_000
        funnels = self._funnels
        reply, inputs = funnels.recommend(request, moment_ms)
        self._stream.append(shown_record(request, reply, inputs, funnels.release.config, moment_ms))
        return reply

    def record(self, events: Sequence[Event]) -> EventsReply:
        """Fold events into their users' states and log them.

        Raises:
          ServingError: the state store does not answer; nothing is logged, and the events may be sent again.
        """
        funnels = self._funnels
        by_user: dict[str, list[Event]] = {}
        for event in events:
            if event.type in funnels.release.form.types:
                by_user.setdefault(event.user_id, []).append(event)
        folded_count = sum(_fold(funnels, user, of_user) for user, of_user in by_user.items())
        now_ms = time.time_ns() // 1_000_000
        for event in events:
            self._stream.append(event_record(event, funnels.release.config, now_ms))
        known = sum(map(len, by_user.values()))
        return EventsReply(folded=folded_count, repeated=known - folded_count, ignored=len(events) - known)

    def similar(self, item_id: str, count: int) -> SimilarReply:
        """The items nearest to one, itself left out.

        Raises:
          UnknownItemError: there is no such item.
        """
        release = self._funnels.usual.release
        own = release.rows([item_id])
        if not len(own):
            raise UnknownItemError(item_id, release.version)
        vector = release.vectors[own]
        rows = Allowed(release, Known(None, own, own)).nearest(vector, count)[0]
        rows = rows[rows >= 0][:count]
        items = [
            SimilarItem(rank=rank, item_id=release.item_ids[row], title=release.titles[row], score=score)
            for rank, (row, score) in enumerate(zip(rows, (release.vectors[rows] @ vector[0]).tolist(), strict=True), start=1)
        ]
        return SimilarReply(release=release.version, items=items)

    def put_item(self, item_id: str, item: ItemBody) -> ItemReply:
        """Put an item in; the next request can find it, and those to other gateways within a second.

        Raises:
          UnfitRequestError: a feature is not one of the release's, or its value does not fit.
          ServingError: the store does not take it, or the item tower does not answer; once the store has it, it is taken
            up as soon as the tower answers.
        """
        self._live.put(item_id, item, self._funnels.release)
        self._catch_up()
        release = self._funnels.release
        return ItemReply(item_id=item_id, release=release.version, ranked=not release.unranked(release.rows([item_id])).any())

    def delete_item(self, item_id: str) -> None:
        """Withdraw an item from this and every later release, till it is put in again.

        Raises:
          UnknownItemError: there is no such item.
          ServingError: the store does not take it.
        """
        release = self._funnels.release
        if item_id not in release.row_of_item:
            raise UnknownItemError(item_id, release.version)
        self._live.withdraw(item_id)
        self._catch_up()

    def ready(self) -> bool:
        """Whether the store and both models answer."""
        try:
            return self._funnels.store.ping() and all(self._models.status(name) for name in ("retrieval", "ranker"))
        except ServingError:
            return False

    def close(self) -> None:
        self._closing.set()
        self._watcher.join()
        self._follower.join()
        self._live.close()
        self._stream.close()
        self._funnels.store.close()

    def _load(self, version: int) -> Funnels:
        release = Release.load(self._registry, version)
        self._settings.check(release.config.dataset)
        for name in ("retrieval", "ranker"):
            self._models.wait_until_available(name, version)
        limits = dataclasses.replace(StoreLimits(), events=max(StoreLimits.events, release.config.samples.history_length))
        timeout_s = self._settings.budgets_ms.state / 1000
        try:
            self._live.refresh()
        except ServingError as error:
            _log.warning("items changed since are not known yet: %s", error)
        store = StateStore(self._store_url, release.form.types, limits, timeout_s)
        funnels = Funnels(self._live.over(release), self._models, store, self._settings)
        try:
            funnels.warm_up()
        except ServingError:
            store.close()
            raise
        return funnels

    def _catch_up(self) -> None:
        """Lay over the release what has changed of the items, here or in other gateways.

        Raises:
          ServingError: the store or the item tower does not answer.
        """
        with self._swapping:
            self._live.refresh()
            release = self._funnels.release
            if self._live.behind(release):
                self._funnels = Funnels(self._live.over(release), self._models, self._funnels.store, self._settings)

    def _follow(self) -> None:
        """Catch up time and again; what cannot be had now is had later."""
        while not self._closing.wait(FOLLOW_S):
            try:
                self._catch_up()
            except ServingError as error:
                _log.debug("items changed since are not known yet: %s", error)

    def _watch(self) -> None:
        """Take up the registry's current release; one that cannot be loaded is refused, and the old one stays."""
        outgoing: StateStore | None = None  # requests may be under way there, till long before the next release
        while not self._closing.wait(1.0):
            version: int | None = None
            try:
                version = self._registry.current()
                if version is None or version in (self.version, self._refused):
                    continue
                funnels = self._load(version)
                if outgoing is not None:
                    outgoing.close()
                with self._swapping:
                    outgoing, self._funnels = self._funnels.store, funnels
                _log.info("release %s is served", version)
            except (ArtifactError, ConfigError, ServingError) as error:
                self._refused = version or self._refused
                _log.error("release %s is refused, %s stays: %s", version, self.version, error)
            except Exception:  # whatever it is, the releases after this one are to be taken up
                self._refused = version or self._refused
                _log.exception("release %s cannot be taken up, %s stays", version, self.version)
        if outgoing is not None:
            outgoing.close()


def _fold(funnels: Funnels, user_id: str, events: Sequence[Event]) -> int:
    if not funnels.store.knows(user_id) and (snapshot := funnels.release.snapshot(user_id)) is not None:
        funnels.store.seed(user_id, *snapshot)
    stored = [StoredEvent(event.event_id, event.item_id, event.timestamp_ms, event.value, event.type) for event in events]
    return funnels.store.fold(user_id, stored)
