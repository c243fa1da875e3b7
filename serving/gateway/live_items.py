"""Items put in and withdrawn while a release is served: kept in the store, followed from it, laid over every release."""

import threading
import time

import numpy as np
from numpy.typing import NDArray

from components.features.item_form import item_inputs
from serving.gateway.item_api import ItemBody
from serving.gateway.item_values import catalogue_values, still_fitting
from serving.gateway.overlay import overlaid
from serving.gateway.release import Release
from serving.inference import ModelClient
from serving.item_store import ItemChange, ItemStore, LiveItem

TOWER_TIMEOUT_S = 10.0
AT_ONCE = 1_024


class LiveItems:
    """The changes as far as they have been read. Threads share one.

    A store that does not answer leaves them as they are: what was withdrawn does not come back.
    """

    def __init__(self, store_url: str, models: ModelClient) -> None:
        self._store, self._models = ItemStore(store_url), models
        self._changing = threading.Lock()
        self._changes: dict[str, ItemChange] = {}
        self._last_number = 0
        self._vectors: tuple[int, dict[str, tuple[int, NDArray[np.float32]]]] = (0, {})

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
                self._changes, changes = {}, self._store.since(0)[1]
            self._changes |= {change.item_id: change for change in changes}
            self._last_number = last

    def behind(self, release: Release) -> bool:
        """Whether a release lacks changes that have been read."""
        return release.live_number != self._last_number

    def over(self, release: Release) -> Release:
        """The release with all that has been read, and nothing else, laid over it.

        Raises:
          InferenceError: the item tower does not answer.
        """
        base = release.base or release
        with self._changing:
            if not self._changes:
                return base
            changes = list(self._changes.values())
            return overlaid(base, changes, self._embedded(base, changes), self._last_number)

    def close(self) -> None:
        self._store.close()

    def _embedded(self, base: Release, changes: list[ItemChange]) -> NDArray[np.float32]:
        """float32 [m, dim]; of the items put in. Those that the tower has seen before are not asked for again."""
        put = {change.item_id: (change.number, change.item) for change in changes if change.item is not None}
        version, vectors = self._vectors
        known = vectors if version == base.version else {}
        missing = [item_id for item_id, (number, _) in put.items() if known.get(item_id, (0,))[0] != number]
        columns = base.config.dataset.item_features
        made: dict[str, tuple[int, NDArray[np.float32]]] = {}
        for start in range(0, len(missing), AT_ONCE):
            ids = missing[start : start + AT_ONCE]
            inputs = item_inputs(ids, [still_fitting(put[item_id][1].features, columns) for item_id in ids], columns)
            answer = self._models.predict(
                "retrieval", inputs, signature="item", version=base.version, timeout_s=TOWER_TIMEOUT_S
            )
            made |= {item_id: (put[item_id][0], each) for item_id, each in zip(ids, answer["embedding"], strict=True)}
        kept = {item_id: (made.get(item_id) or known[item_id]) for item_id in put}
        self._vectors = (base.version, kept)
        dim = base.vectors.shape[1]
        return np.array([vector for _, vector in kept.values()], np.float32).reshape(-1, dim)
