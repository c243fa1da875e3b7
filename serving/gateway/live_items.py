"""Items put in and withdrawn while a release is served: kept in the store, followed from it, laid over every release.

A withdrawal needs no model and takes effect as soon as it is read. An item put in needs a vector of the release's item
tower: till that can be had, the item stays as it was, which is out where it is new or was withdrawn.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.gateway.item_api import ItemBody
from serving.gateway.item_tower import embedded
from serving.gateway.item_values import catalogue_values
from serving.gateway.overlay import overlaid
from serving.gateway.release import Release
from serving.inference import InferenceError, ModelClient
from serving.item_store import ItemChange, ItemStore, LiveItem

AT_ONCE = 1_024
REFUSED_S = 60.0  # till an item that the tower has refused is sent again
MAX_VERSIONS = 2  # whose vectors are kept: of the release that is served, and of the one that is about to be
_log = logging.getLogger(__name__)


@dataclass
class _Answers:
    """What the item tower of one release has said.

    Attributes:
      made: item → the change that its vector is of, and the vector.
      refused: item → the number of the change that was refused, and when to send it again, by the monotonic clock.
    """

    made: dict[str, tuple[ItemChange, NDArray[np.float32]]] = field(default_factory=dict)
    refused: dict[str, tuple[int, float]] = field(default_factory=dict)


class LiveItems:
    """The changes as far as they have been read. Threads share one.

    A store that does not answer leaves them as they are: what was withdrawn does not come back.
    """

    def __init__(self, store_url: str, models: ModelClient) -> None:
        self._store, self._models = ItemStore(store_url), models
        self._changing = threading.Lock()
        self._changes: dict[str, ItemChange] = {}
        self._withdrawn: set[str] = set()  # at any time: they stay out till they are put in again with a vector
        self._last_number = 0
        self._answers: dict[int, _Answers] = {}  # by the release's version, the one asked last at the end
        self._state_number = 0  # grows with all that can be laid over a release

    def put(self, item_id: str, body: ItemBody, release: Release) -> None:
        """Keep an item for all releases.

        Raises:
          UnfitRequestError: a feature is not one of the release's, or its value does not fit.
          ServingError: the store does not take it.
        """
        features = catalogue_values(body.features, release.config.dataset.item_features)
        created_ms = time.time_ns() // 1_000_000 if body.created_ms is None else body.created_ms
        self._store.put(item_id, LiveItem(body.title or item_id, created_ms, features))

    def withdraw(self, item_id: str) -> None:
        """Keep an item from all releases.

        Raises:
          ServingError: the store does not take it.
        """
        self._store.put(item_id, None)

    def refresh(self) -> None:
        """Read what has changed since the last time.

        Raises:
          ServingError: the store does not answer.
        """
        with self._changing:
            last, changes = self._store.since(self._last_number)
            if last < self._last_number:  # another store than before, or one that was emptied
                changes = self._store.since(0)[1]
                self._changes, self._withdrawn, self._answers = {}, set(), {}
                self._state_number += 1
            self._changes |= {change.item_id: change for change in changes}
            self._last_number = last
            withdrawn = {change.item_id for change in changes if change.item is None}
            if withdrawn:
                self._withdrawn |= withdrawn
                for answers in self._answers.values():
                    for item_id in withdrawn:
                        answers.made.pop(item_id, None)
                self._state_number += 1

    def holds(self, item_id: str) -> bool:
        """Whether an item was put in, be it laid over a release yet or not."""
        change = self._changes.get(item_id)
        return change is not None and change.item is not None

    def embed(self, release: Release) -> None:
        """Have the release's item tower make the vectors that are still missing.

        An item that the tower refuses is left out, and sent again after a while.

        Raises:
          InferenceError: the tower cannot be asked now; what it has made till then is kept.
        """
        base = release.base or release
        missing = self._missing(base.version)
        for start in range(0, len(missing), AT_ONCE):
            self._ask(base, missing[start : start + AT_ONCE])

    def embed_one(self, item_id: str, release: Release) -> None:
        """Have the release's item tower make the vector of one item, whatever becomes of the others.

        Raises:
          InferenceError: the tower cannot be asked now, or refuses the item.
        """
        change = self._changes.get(item_id)
        if change is None or change.item is None:
            return
        for error in self._ask(release.base or release, [change]).values():
            raise error

    def behind(self, release: Release) -> bool:
        """Whether a release lacks changes that can be laid over it."""
        return release.live_number != self._state_number

    def over(self, release: Release) -> Release:
        """The release with all that has been read, and nothing else, laid over it; asks no model."""
        base = release.base or release
        applied: list[ItemChange] = []
        vectors: list[NDArray[np.float32]] = []
        with self._changing:
            number = self._state_number
            made = self._answers.get(base.version, _Answers()).made
            for item_id, change in self._changes.items():
                if change.item is None:
                    applied.append(change)
                elif item_id in made:
                    applied.append(made[item_id][0])
                    vectors.append(made[item_id][1])
                elif item_id in self._withdrawn:
                    applied.append(ItemChange(item_id, change.number, None))
        if not number:
            return base
        return overlaid(base, applied, np.array(vectors, np.float32).reshape(-1, base.vectors.shape[1]), number)

    def close(self) -> None:
        self._store.close()

    def _missing(self, version: int) -> list[ItemChange]:
        now_s = time.monotonic()
        with self._changing:
            answers = self._answers.pop(version, _Answers())
            self._answers[version] = answers
            for outdated in list(self._answers)[:-MAX_VERSIONS]:
                del self._answers[outdated]

            def missing(change: ItemChange) -> bool:
                if (made := answers.made.get(change.item_id)) is not None and made[0].number == change.number:
                    return False
                number, again_s = answers.refused.get(change.item_id, (0, 0.0))
                return number != change.number or now_s >= again_s

            return [change for change in self._changes.values() if change.item is not None and missing(change)]

    def _ask(self, base: Release, changes: list[ItemChange]) -> Mapping[str, InferenceError]:
        """Ask for the vectors of items put in, and keep them; those that were refused."""
        given = embedded(self._models, base, {change.item_id: change.item for change in changes if change.item is not None})
        refused = {item_id: answer for item_id, answer in given.items() if isinstance(answer, InferenceError)}
        with self._changing:
            answers = self._answers.setdefault(base.version, _Answers())
            for change in changes:
                item_id, answer, current = change.item_id, given[change.item_id], self._changes.get(change.item_id)
                if current is None or current.item is None:
                    continue  # withdrawn meanwhile
                if isinstance(answer, InferenceError):
                    if answers.refused.get(item_id, (0, 0.0))[0] != change.number:
                        _log.warning("item %r is left out, the item tower refuses it: %s", item_id, answer)
                    answers.refused[item_id] = (change.number, time.monotonic() + REFUSED_S)
                elif item_id not in answers.made or answers.made[item_id][0].number < change.number:
                    answers.made[item_id] = (change, answer)
                    answers.refused.pop(item_id, None)
                    self._state_number += 1
        return refused
