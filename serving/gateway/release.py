"""A published release in memory: what the gateway answers from, swapped as a whole."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import PipelineConfig, parse_config
from components.features.request import RequestForm
from components.features.user import UserState
from components.index.index import Index, ScannIndex, load_vectors
from components.push.registry import Registry
from components.schema.catalogue import read_items, read_users
from components.schema.events import MS_PER_DAY
from components.schema.features import SnapshotFacts, read_interactions, read_user_states
from components.schema.samples import COUNT_PREFIX

TREND_DAYS = 7


@dataclass(frozen=True)
class Release:
    """What one release knows. Items are rows of its catalogue.

    Attributes:
      candidates: how many recalled items are ranked.
      item_ids: object [n] of str; vectors: float32 [n, dim]; index: over them.
      items: the catalogue, with every item's features; event_counts: int64 [n]; events of the training split.
      allowed: bool [n]; which rows may be shown at all.
      popular, trending, fresh: int32 [n]; rows by events of the training split in all, by those of the last week, and by the
        moment since when an item exists; best first.
    """

    version: int
    config: PipelineConfig
    form: RequestForm
    candidates: int
    item_ids: NDArray[np.object_]
    titles: list[str]
    vectors: NDArray[np.float32]
    index: Index
    items: pa.Table
    event_counts: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    popular: NDArray[np.int32]
    trending: NDArray[np.int32]
    fresh: NDArray[np.int32]
    users: pa.Table
    states: pa.Table

    @classmethod
    def load(cls, registry: Registry, version: int) -> Self:
        """Verified against its manifest before a byte of it is used.

        Raises:
          ArtifactError: a file is missing, damaged, or of another version.
        """
        registry.verify(version)
        bundle = registry.bundle(version)
        config = parse_config((bundle / "config.json").read_text(), origin=str(bundle / "config.json"))
        types = SnapshotFacts.load(bundle / "features").types
        vectors, item_ids = load_vectors(bundle / "index")
        items = read_items(bundle / "catalogue")
        return cls(
            version=version,
            config=config,
            form=RequestForm(config, types),
            candidates=registry.manifest(version).candidates,
            item_ids=np.array(item_ids, object),
            titles=items.column("title").to_pylist(),
            vectors=vectors,
            index=ScannIndex.load(bundle / "index", len(vectors)),
            items=items.combine_chunks(),
            allowed=np.ones(items.num_rows, bool),
            **_by_activity(bundle, items),
            users=read_users(bundle / "catalogue"),
            states=read_user_states(bundle / "features"),
        )

    def restricted(self, allowed: NDArray[np.bool_]) -> Self:
        """The same release, of which only these rows, bool [n], may be shown."""
        lists = {name: getattr(self, name) for name in ("popular", "trending", "fresh")}
        return dataclasses.replace(self, allowed=allowed, **{name: rows[allowed[rows]] for name, rows in lists.items()})

    @cached_property
    def allowed_share(self) -> float:
        return float(self.allowed.mean()) if len(self.allowed) else 0.0

    @cached_property
    def created_ms(self) -> NDArray[np.int64]:
        """int64 [n]; UTC."""
        return self.items.column("created_ms").to_numpy()

    @cached_property
    def _row_of_item(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.item_ids)}

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self.users.column("user_id").to_pylist())}

    @cached_property
    def _row_of_state(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self.states.column("user_id").to_pylist())}

    def rows(self, item_ids: Any) -> NDArray[np.int32]:
        """Rows of the items that the release knows; the others are left out."""
        known = (self._row_of_item.get(item) for item in item_ids)
        return np.array([row for row in known if row is not None], np.int32)

    def profile(self, user_id: str) -> dict[str, Any]:
        """The user's features; empty for one who is unknown."""
        row = self._row_of_user.get(user_id)
        return {} if row is None else self.users.slice(row, 1).to_pylist()[0]

    def snapshot(self, user_id: str) -> tuple[UserState, tuple[str, ...]] | None:
        """The user's state and all items had, as of the end of the release's log; None for one who is unknown."""
        row = self._row_of_state.get(user_id)
        if row is None:
            return None
        kept = self.states.slice(row, 1).to_pylist()[0]
        types = np.array(kept["type"], np.int16)
        total = np.array([kept[COUNT_PREFIX + name] for name in self.form.types], np.int64)
        state = UserState(
            item_id=np.array(kept["item_id"], object),
            timestamp_ms=np.array(kept["timestamp_ms"], np.int64),
            value=np.array(kept["value"], np.float32),
            type=types,
            forgotten_counts=total - np.bincount(types, minlength=len(self.form.types)),
        )
        return state, tuple(kept["seen_item_id"])


def _by_activity(bundle: Path, items: pa.Table) -> dict[str, NDArray[Any]]:
    interactions = read_interactions(bundle / "features")
    row, moment = interactions.column("item_index").to_numpy(), interactions.column("timestamp_ms").to_numpy()
    since = pc.max(interactions.column("timestamp_ms")).as_py() - TREND_DAYS * MS_PER_DAY if len(moment) else 0
    counts = np.bincount(row, minlength=items.num_rows)
    scores = {
        "popular": counts,
        "trending": np.bincount(row[moment > since], minlength=items.num_rows),
        "fresh": items.column("created_ms").to_numpy(),
    }
    orders = {name: np.argsort(-score, kind="stable").astype(np.int32) for name, score in scores.items()}
    return {"event_counts": counts, **orders}
