"""The gateway as one object: the release at hand, the stores, and what each call does."""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from components.errors import ArtifactError, ServingError
from components.push.registry import Registry
from serving.event_stream import EventStream
from serving.gateway.api import Event, EventsReply, RecommendReply, RecommendRequest
from serving.gateway.errors import UnknownItemError
from serving.gateway.experiments import Funnels
from serving.gateway.folding import fold_later, fold_now
from serving.gateway.item_api import ItemBody, ItemReply, SimilarItem, SimilarReply
from serving.gateway.live_items import LiveItems
from serving.gateway.live_trends import LiveTrends
from serving.gateway.logged import event_record, shown_record
from serving.gateway.readiness import Readiness
from serving.gateway.recall import Allowed, Known
from serving.gateway.release import Release
from serving.gateway.release_watch import ReleaseWatch
from serving.gateway.repeated import Repeated
from serving.gateway.settings import GatewaySettings
from serving.inference import ModelClient
from serving.state_store import StateStore, StoreLimits

WATCH_S = 1.0  # between two looks at which release is current
FOLLOW_S = 0.25  # between two looks at what has changed of the items
_log = logging.getLogger(__name__)


class Gateway:
    """Threads share one.

    Args:
      registry: of the releases; the one that it calls current is served, and taken up when it changes.
      unsent: the file for records that the event stream does not take.
      trends: the stream tier's folder; None leaves what trends to the release.

    Attributes:
      known_context: context columns of the releases that this process has loaded: a roll back refuses no client's.
    """

    def __init__(
        self,
        registry: Registry,
        models: ModelClient,
        store_url: str,
        unsent: Path,
        settings: GatewaySettings,
        trends: Path | None = None,
    ) -> None:
        version = registry.current()
        if version is None:
            raise ServingError(f"{registry.folder}: holds no release yet; `winnow run` makes one")
        self._registry, self._models, self._settings, self._store_url = registry, models, settings, store_url
        self._live, self._trends, self._swapping = LiveItems(store_url, models), LiveTrends(trends), threading.Lock()
        self.known_context: frozenset[str] = frozenset()
        self._funnels = self._first(version)
        self._stream = EventStream(store_url, unsent, lambda lines: fold_later(self._funnels, lines))
        self._readiness = Readiness(self._all_answer)
        self._outgoing: StateStore | None = None  # requests may be under way there, till long before the next release
        watch = ReleaseWatch(registry.current, lambda: self.version, self._take_up)
        self._threads = [
            Repeated("releases", watch.look, WATCH_S),
            Repeated("items", self._follow, FOLLOW_S),
            Repeated("trends", self._follow_trends, WATCH_S),
            Repeated("vectors of items", self._embed, FOLLOW_S),  # apart: withdrawals do not wait for the item tower
        ]

    @property
    def version(self) -> int:
        return self._funnels.release.version

    @property
    def published(self) -> datetime:
        """When the release that is served was."""
        return self._funnels.release.published

    @property
    def release(self) -> Release:
        """With every item, also those that the settings let nobody see."""
        return self._funnels.release

    @property
    def stream(self) -> EventStream:
        return self._stream

    def recommend(self, request: RecommendRequest, arrived_s: float) -> RecommendReply:
        """A list, within the deadline since the request came, ``arrived_s`` by ``time.monotonic()``."""
        now_ms = time.time_ns() // 1_000_000
        moment_ms = request.timestamp_ms or now_ms
        funnels = self._funnels
        reply, inputs = funnels.recommend(request, moment_ms, arrived_s)
        self._stream.append(partial(shown_record, request, reply, inputs, funnels.release.config, now_ms))
        return reply

    def record(self, events: Sequence[Event]) -> EventsReply:
        """Fold events into their users' states and log them; both outlive this process by the time it returns.

        Where the store is away the events are kept in the file of what is unsent, and folded when it answers again.

        Raises:
          ServingError: neither the stream nor the file takes all of them; the events may be sent again.
        """
        funnels = self._funnels
        reply = fold_now(funnels, events)
        now_ms = time.time_ns() // 1_000_000
        records = [event_record(event, funnels.release.config, now_ms) for event in events]
        self._stream.put(records, are_prepared=not reply.deferred)
        return reply

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
          ServingError: the store does not take it, or the item tower does not answer or refuses it; once the store has it,
            it is taken up as soon as the tower makes its vector.
        """
        self._live.put(item_id, item, self._funnels.release)
        self._live.refresh()
        self._live.embed_one(item_id, self._funnels.release)
        self._lay_over()
        release = self._funnels.release
        return ItemReply(item_id=item_id, release=release.version, ranked=not release.unranked(release.rows([item_id])).any())

    def delete_item(self, item_id: str) -> None:
        """Withdraw an item from this and every later release, till it is put in again.

        Raises:
          UnknownItemError: there is no such item.
          ServingError: the store does not take it.
        """
        release = self._funnels.release
        if item_id not in release.row_of_item and not self._live.holds(item_id):
            raise UnknownItemError(item_id, release.version)
        self._live.withdraw(item_id)
        self._follow()

    def ready(self) -> bool:
        """Whether the store and both models answer, or did a moment ago."""
        return self._readiness()

    def _all_answer(self) -> bool:
        try:
            return self._funnels.store.ping() and all(self._models.status(name) for name in ("retrieval", "ranker"))
        except ServingError:
            return False

    def close(self) -> None:
        for thread in self._threads:
            thread.close()
        self._live.close()
        self._stream.close()
        self._funnels.store.close()
        if self._outgoing is not None:
            self._outgoing.close()

    def _first(self, version: int) -> Funnels:
        """What is served at the start: the current release, or the one before where that is damaged or its models do not load.

        Raises:
          ArtifactError: there is no sound release. ServingError: none whose models are served.
        """
        try:
            return self._load(version)
        except (ArtifactError, ServingError) as error:
            previous = self._registry.previous()
            if previous in (None, version):
                raise
            _log.error("release %s is refused, %s is served: %s", version, previous, error)
            return self._load(previous)

    def _load(self, version: int) -> Funnels:
        release = Release.load(self._registry, version)
        self._settings.check(release.config.dataset)
        self.known_context |= frozenset(release.config.dataset.events.context)
        for name in ("retrieval", "ranker"):
            self._models.wait_until_available(name, version)
        limits = dataclasses.replace(StoreLimits(), events=max(StoreLimits.events, release.config.samples.history_length))
        timeout_s = self._settings.state_budget_ms / 1000
        try:
            self._live.refresh()
        except ServingError as error:
            _log.warning("items changed since are not known yet: %s", error)
        self._live.embed(release)
        store = StateStore(self._store_url, release.form.types, limits, timeout_s)
        funnels = Funnels(self._live.over(release), self._models, store, self._settings)
        try:
            funnels.warm_up()
        except ServingError:
            store.close()
            raise
        return funnels

    def _take_up(self, version: int) -> None:
        funnels = self._load(version)
        if self._outgoing is not None:
            self._outgoing.close()
        with self._swapping:
            self._outgoing, self._funnels = self._funnels.store, self._up_to_date(funnels)

    def _follow(self) -> None:
        """Lay over the release what has changed of the items, here or in other gateways.

        Raises:
          ServingError: the store does not answer.
        """
        self._live.refresh()
        self._lay_over()

    def _follow_trends(self) -> None:
        """Lay over the release what the stream tier has counted last.

        Raises:
          ArtifactError: its files cannot be read.
        """
        self._trends.refresh()
        self._lay_over()

    def _embed(self) -> None:
        """Have made what is missing of the vectors of items put in.

        Raises:
          InferenceError: the item tower does not answer; it is asked again later.
        """
        self._live.embed(self._funnels.release)
        self._lay_over()

    def _lay_over(self) -> None:
        with self._swapping:
            self._funnels = self._up_to_date(self._funnels)

    def _up_to_date(self, funnels: Funnels) -> Funnels:
        release = funnels.release
        if self._live.behind(release):
            release = self._live.over(release)
        if self._trends.behind(release):
            release = self._trends.over(release)
        if release is funnels.release:
            return funnels
        return Funnels(release, self._models, funnels.store, self._settings)
