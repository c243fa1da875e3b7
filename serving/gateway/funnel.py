"""Recall → ranking → re-ranking, within a deadline, with something to fall back on at every stage."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import ServingError
from components.features.item_form import item_inputs
from components.features.request import Inputs
from components.features.user import UserState
from components.schema import samples as names
from serving.gateway.api import Recommended, RecommendReply, RecommendRequest, SessionEvent
from serving.gateway.recall import Candidates, Known, recall
from serving.gateway.release import Release
from serving.gateway.rerank.chain import explained, steps
from serving.gateway.rerank.ranked import Context, Ranked
from serving.gateway.rerank.rules import allowed
from serving.gateway.settings import MARGIN_MS, GatewaySettings
from serving.gateway.unknown_items import borrowed
from serving.inference import InferenceError, ModelClient
from serving.state_store import StateStore

LEAST_S = 0.001  # a stage that is left less than this is not begun
ANONYMOUS = ""
Answer = dict[str, NDArray[np.float32]]


@dataclass
class Progress:
    """One request under way: when it must be answered, what each stage took, what had to be done instead."""

    deadline_s: float
    fallbacks: list[str] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)
    embedding: NDArray[np.float32] | None = None  # of the query tower, once it has answered

    def left_s(self, budget_ms: float) -> float:
        """What a stage may take: its budget, or what the deadline leaves."""
        return min(budget_ms / 1000, self.deadline_s - MARGIN_MS / 1000 - time.monotonic())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.timings_ms[name] = _ms_since(started)


@dataclass(frozen=True)
class User:
    """Who asks. ``seen``: ids of the items had."""

    user_id: str
    state: UserState
    seen: Sequence[str]


class Funnel:
    """Answers requests from one release.

    Args:
      arms: experiment → the arm of those who are answered.
    """

    def __init__(
        self,
        release: Release,
        models: ModelClient,
        store: StateStore,
        settings: GatewaySettings,
        arms: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._store, self._models, self._settings, self._arms = store, models, settings, dict(arms)
        self._steps = steps(settings.rerank)
        self._ruled = bool(settings.rerank.banned or settings.rerank.rules)
        self.release = release.restricted(allowed(release.items, settings.rerank.banned, settings.rerank.rules))

    def warm_up(self, timeout_s: float = 60.0) -> None:
        """Do once what requests will want: the first run of a graph and the first call of a store take many times as long.

        Raises:
          InferenceError: a model does not answer.
        """
        release = self.release
        inputs = release.form.inputs(ANONYMOUS, 0, UserState.empty(len(release.form.types)), {}, {})
        ids = release.item_ids[release.popular[: release.candidates]]
        recalled = self._models.predict("retrieval", inputs, version=release.version, timeout_s=timeout_s)["embedding"]
        item = item_inputs([ANONYMOUS], [{}], release.config.dataset.item_features)
        self._models.predict("retrieval", item, signature="item", version=release.version, timeout_s=timeout_s)
        ranked = {**inputs, names.ITEM_ID: ids[np.newaxis]}
        self._models.predict("ranker", ranked, version=release.version, timeout_s=timeout_s)
        ranked[names.RECALL_EMBEDDING] = recalled
        self._models.predict("ranker", ranked, signature="rank_recalled", version=release.version, timeout_s=timeout_s)
        self._store.ping()
        self.recommend(RecommendRequest(), time.time_ns() // 1_000_000, time.monotonic())

    def recommend(self, request: RecommendRequest, now_ms: int, arrived_s: float) -> tuple[RecommendReply, Inputs]:
        """A list for the request, and what the models were asked with.

        It is empty only where no item fits the request, or each that does was had or excluded; ``fallbacks`` says which.

        Args:
          arrived_s: ``time.monotonic()`` when the request came, from which its deadline counts.

        Raises:
          UnfitRequestError: a filter is on a feature that the items do not have, or of another kind.
        """
        progress = Progress(arrived_s + self._settings.deadline_ms / 1000)
        progress.timings_ms["waiting"] = _ms_since(arrived_s)
        with progress.stage("state"):
            user = self._user(request, progress)
        profile = self.release.profile(user.user_id)
        inputs = self.release.form.inputs(user.user_id, now_ms, user.state, profile, request.context)
        left_out = self.release.rows({*user.seen, *request.exclude})
        with progress.stage("recall"):
            candidates = self._candidates(request, user, profile, inputs, left_out, progress)
        with progress.stage("ranking"):
            ranked = self._ranked(candidates.rows, inputs, progress)
        items = self._reranked(ranked, candidates, Context(self.release, now_ms, request.count), progress)
        if not items:
            progress.fallbacks.append(f"empty list: {self._reason_for_none(request)}")
        progress.timings_ms["total"] = _ms_since(arrived_s)
        reply = RecommendReply(
            request_id=uuid.uuid4().hex,
            release=self.release.version,
            items=items,
            experiments=self._arms,
            fallbacks=progress.fallbacks,
            timings_ms=progress.timings_ms,
        )
        return reply, inputs

    def _reason_for_none(self, request: RecommendRequest) -> str:
        fitting = self.release.allowed
        if request.filters:
            fitting = fitting & self.release.filter.passing(request.filters)
        kind = "item" if request.candidates is None else "candidate"
        if request.candidates is not None:
            fitting = fitting[self.release.rows(request.candidates)]
        if fitting.any():
            return f"every {kind} that fits was had or excluded"
        return f"no {kind} fits the filters" if request.filters else f"no {kind} may be shown"

    def _user(self, request: RecommendRequest, progress: Progress) -> User:
        """The user's state from the store, with what only the release's snapshot knows, and with the request's own events."""
        user_id = request.user_id or ANONYMOUS
        state: UserState | None = None
        seen: tuple[str, ...] = ()
        if user_id != ANONYMOUS:
            try:
                budget_ms = self._settings.state_budget_ms
                if progress.left_s(budget_ms) < budget_ms / 1000:  # the store's client gives up no earlier
                    raise ServingError("there is no time to ask the store")
                stored = self._store.read(user_id)
                state, seen = stored.state, stored.seen
            except ServingError:
                progress.fallbacks.append("state store: the release's snapshot of the user")
            if (snapshot := self.release.snapshot(user_id)) is not None:
                in_log, had = snapshot
                keep = self.release.config.samples.history_length
                state = in_log if state is None else state.merged(in_log, max(keep, len(state.item_id)))
                seen = (*had, *seen)
        state = state or UserState.empty(len(self.release.form.types))
        events = [event for event in request.events if event.type in self.release.form.types]
        return User(user_id, folded(state, events, self.release), [*seen, *(event.item_id for event in events)])

    def _candidates(
        self,
        request: RecommendRequest,
        user: User,
        profile: Mapping[str, Any],
        inputs: Inputs,
        left_out: NDArray[np.int32],
        progress: Progress,
    ) -> Candidates:
        fitting = self.release.filter.passing(request.filters) if request.filters else None
        if request.candidates is not None:
            given = dict.fromkeys(request.candidates)
            rows = self.release.rows(given)
            rows = rows[~np.isin(rows, left_out)]
            if missing := len(given) - len(rows):
                progress.fallbacks.append(f"candidates: left out {missing} of {len(given)} that are unknown, had or excluded")
            shown = self.release.allowed[rows]
            if not shown.all():
                progress.fallbacks.append(f"banned items and rules: left out {np.sum(~shown)} of {len(rows)} candidates")
            rows = rows[shown if fitting is None else shown & fitting[rows]]
            return Candidates(rows, {"request": rows})
        history = self.release.rows(user.state.item_id[::-1])
        segment = self.release.segments.ranking(profile)
        known = Known(self._embedding(inputs, progress), history, left_out, fitting, segment)
        found = recall(self.release, known, self._settings.quotas, self.release.candidates)
        if len(found.rows) < request.count and fitting is None and self._ruled:
            progress.fallbacks.append(f"banned items and rules: left {len(found.rows)} of {request.count} items")
        pinned = self.release.rows(self._settings.rerank.pinned)
        shown = self.release.allowed if fitting is None else self.release.allowed & fitting
        return found.also(pinned[~np.isin(pinned, left_out) & shown[pinned]], "pinned") if len(pinned) else found

    def _embedding(self, inputs: Inputs, progress: Progress) -> NDArray[np.float32] | None:
        left_s = progress.left_s(self._settings.budgets_ms.query_tower)

        def ask() -> Answer:
            return self._models.predict("retrieval", inputs, version=self.release.version, timeout_s=left_s)

        answer = _within(left_s, ask, progress, "query tower: recall without it")
        progress.embedding = None if answer is None else answer["embedding"][0]
        return progress.embedding

    def _recall_score(self, rows: NDArray[np.int32], inputs: Inputs, progress: Progress) -> NDArray[np.float32]:
        """float32 [n]; of the candidates; without the query's vector it falls with their places."""
        embedding = self._embedding(inputs, progress) if progress.embedding is None else progress.embedding
        if embedding is None:
            return -np.arange(len(rows), dtype=np.float32)
        return self.release.vectors[rows] @ embedding

    def _ranked(self, rows: NDArray[np.int32], inputs: Inputs, progress: Progress) -> Ranked:
        left_s = progress.left_s(self._settings.budgets_ms.ranker)

        def ask() -> Answer:
            request = {**inputs, names.ITEM_ID: self.release.item_ids[rows][np.newaxis]}
            signature = "serving_default"
            if progress.embedding is not None:
                signature, request[names.RECALL_EMBEDDING] = "rank_recalled", progress.embedding[np.newaxis]
            answer = self._models.predict(
                "ranker", request, signature=signature, version=self.release.version, timeout_s=left_s
            )
            predictions = {name: values[0] for name, values in answer.items()}
            unknown = self.release.unranked(rows)
            return borrowed(predictions, unknown, self._recall_score(rows, inputs, progress)) if unknown.any() else predictions

        answer = _within(left_s, ask, progress, "ranker: the order of recall") if len(rows) else None
        if answer is None:
            return Ranked.by_recall(rows)
        return Ranked.by_score(rows, answer.pop("score").astype(np.float64), answer)

    def _reranked(self, ranked: Ranked, candidates: Candidates, context: Context, progress: Progress) -> list[Recommended]:
        first, trail = ranked, []
        for step in self._steps:
            if step.needs_tasks and not ranked.tasks:
                progress.fallbacks.append(f"rerank.{step.name}: left out, there are no predictions")
            elif not step.hard and progress.left_s(self._settings.deadline_ms) < LEAST_S:
                progress.fallbacks.append(f"rerank.{step.name}: left out, there is no time")
            else:
                with progress.stage(f"rerank.{step.name}"):
                    ranked = step.run(ranked, context)
                trail.append((step.name, ranked))
        shown = ranked.rows[: context.count].tolist()
        sources, changes = candidates.sources(shown), explained(first, trail, context.count)
        return [
            Recommended(
                rank=place + 1,
                item_id=self.release.item_ids[row],
                title=self.release.titles[row],
                score=float(ranked.score[place]) if ranked.tasks else None,
                tasks={name: float(values[place]) for name, values in ranked.tasks.items()},
                sources=sources[place],
                rerank=changes[place],
            )
            for place, row in enumerate(shown)
        ]


def folded(state: UserState, events: Sequence[SessionEvent], release: Release) -> UserState:
    """The state after events of types that enter the history."""
    if not events:
        return state
    keep = max(release.config.samples.history_length, len(state.item_id))
    return state.fold(
        np.array([event.item_id for event in events], object),
        np.array([event.timestamp_ms for event in events], np.int64),
        np.array([np.nan if event.value is None else event.value for event in events], np.float32),
        np.array([release.form.types.index(event.type) for event in events], np.int16),
        keep,
    )


def _ms_since(moment_s: float) -> float:
    return round((time.monotonic() - moment_s) * 1000, 3)


def _within(left_s: float, ask: Callable[[], Answer], progress: Progress, fallback: str) -> Answer | None:
    """The answer of a model, or None, with the fallback noted, where it does not come in time or holds what is no number."""
    if left_s >= LEAST_S:
        with suppress(InferenceError):
            answer = ask()
            if all(np.isfinite(values).all() for values in answer.values()):
                return answer
    progress.fallbacks.append(fallback)
    return None
