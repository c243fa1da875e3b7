"""A published release in memory: what the gateway answers from, swapped as a whole."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import PipelineConfig, parse_config
from components.features.request import RequestForm
from components.features.user import UserState
from components.index.index import Index, ScannIndex, load_vectors
from components.item_to_item.neighbours import Neighbours
from components.push.registry import Registry
from components.schema.catalogue import read_items, read_users
from components.schema.events import MS_PER_DAY
from components.schema.features import SnapshotFacts, read_interactions, read_user_states
from components.schema.samples import count_names
from serving.gateway.filters import CatalogueFilter, ItemFilter
from serving.gateway.keyed_rows import KeyedRows
from serving.gateway.segments import Segments

TREND_DAYS = 7


class Vectors(Protocol):
    """float32 [n, dim], of which some rows are read at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: NDArray[np.int32], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Release:
    """What one release knows. Items are rows of its catalogue.

    Attributes:
      published: UTC; candidates: how many recalled items are ranked.
      item_ids: object [n] of str; vectors: float32 [n, dim]; index: over them; neighbours: of the items that the catalogue
        had when the release was made.
      items: the catalogue, with every item's features; event_counts: int64 [n]; events of the training split.
      allowed: bool [n]; which rows may be shown at all; row_of_item: of every item that may be asked for.
      popular, trending, fresh: int32 [n]; rows by events of the training split in all, by those of the last week, and by the
        moment since when an item exists; best first.
      users: the catalogue's; states: what users did, as of the end of the release's log.
      base: the release as it was published, None for itself; live_number: of the state of
        ``LiveItems`` that is laid over it; trends_number: of that of ``LiveTrends``.
    """

    version: int
    published: datetime
    config: PipelineConfig
    form: RequestForm
    candidates: int
    item_ids: NDArray[np.object_]
    titles: list[str]
    vectors: Vectors
    index: Index
    neighbours: Neighbours
    items: pa.Table
    event_counts: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    row_of_item: Mapping[str, int]
    filter: ItemFilter
    segments: Segments
    popular: NDArray[np.int32]
    trending: NDArray[np.int32]
    fresh: NDArray[np.int32]
    users: KeyedRows
    states: KeyedRows
    base: "Release | None" = None
    live_number: int = 0
    trends_number: int = 0

    @classmethod
    def load(cls, registry: Registry, version: int) -> Self:
        """Verified against its manifest before a byte of it is used.

        Raises:
          ArtifactError: a file is missing, damaged, or of another version.
        """
        registry.verify(version)
        bundle = registry.bundle(version)
        config = parse_config((bundle / "config.json").read_text(), origin=str(bundle / "config.json"))
        manifest = registry.manifest(version)
        types = SnapshotFacts.load(bundle / "features").types
        vectors, item_ids = load_vectors(bundle / "index")
        items = read_items(bundle / "catalogue").combine_chunks()
        users = read_users(bundle / "catalogue")
        interactions = read_interactions(bundle / "features")
        return cls(
            version=version,
            published=datetime.fromisoformat(manifest.created),
            config=config,
            form=RequestForm(config, types),
            candidates=manifest.candidates,
            item_ids=np.array(item_ids, object),
            titles=items.column("title").to_pylist(),
            vectors=vectors,
            index=ScannIndex.load(bundle / "index", len(vectors)),
            neighbours=Neighbours.load(bundle / "item_to_item", len(vectors)),
            items=items,
            allowed=np.ones(items.num_rows, bool),
            row_of_item={item: row for row, item in enumerate(item_ids)},
            filter=CatalogueFilter(items, config.dataset.item_features),
            segments=Segments.of(users, interactions, config.dataset.user_features, items.num_rows),
            **_by_activity(interactions, items),
            users=KeyedRows.of(users, "user_id"),
            states=KeyedRows.of(read_user_states(bundle / "features"), "user_id"),
        )

    def restricted(self, allowed: NDArray[np.bool_]) -> Self:
        """The same release, of whose rows only those of bool [n] may be shown."""
        allowed = self.allowed & allowed
        lists = {name: getattr(self, name) for name in ("popular", "trending", "fresh")}
        return dataclasses.replace(self, allowed=allowed, **{name: rows[allowed[rows]] for name, rows in lists.items()})

    @cached_property
    def created_ms(self) -> NDArray[np.int64]:
        """int64 [n]; UTC."""
        return self.items.column("created_ms").to_numpy()

    def unranked(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each row is of an item that the release's ranker does not know."""
        return rows >= len((self.base or self).item_ids)

    def rows(self, item_ids: Any) -> NDArray[np.int32]:
        """Rows of the items that the release knows; the others are left out."""
        known = (self.row_of_item.get(item) for item in item_ids)
        return np.array([row for row in known if row is not None], np.int32)

    def profile(self, user_id: str) -> dict[str, Any]:
        """The user's features; empty for one who is unknown."""
        return {name: value.as_py() for name, value in (self.users.get(user_id) or {}).items()}

    def snapshot(self, user_id: str) -> tuple[UserState, tuple[str, ...]] | None:
        """The user's state and all items had, as of the end of the release's log; None for one who is unknown."""
        kept = self.states.get(user_id)
        if kept is None:
            return None
        types = _listed(kept["type"], np.int16)
        total = np.array([kept[name].as_py() for name in count_names(self.form.types)], np.int64)
        state = UserState(
            item_id=_listed(kept["item_id"], object),
            timestamp_ms=_listed(kept["timestamp_ms"], np.int64),
            value=_listed(kept["value"], np.float32),
            type=types,
            forgotten_counts=total - np.bincount(types, minlength=len(self.form.types)),
        )
        return state, tuple(_listed(kept["seen_item_id"], object))


def _listed(scalar: pa.Scalar, dtype: Any) -> NDArray[Any]:
    values: NDArray[Any] = scalar.values.to_numpy(zero_copy_only=False)
    return values.astype(dtype)


def newest_first(items: pa.Table) -> NDArray[np.int32]:
    """int32 [n]; the rows of a catalogue."""
    return _best_first(items.column("created_ms").to_numpy())


def _best_first(score: NDArray[Any]) -> NDArray[np.int32]:
    return np.argsort(-score, kind="stable").astype(np.int32)


def _by_activity(interactions: pa.Table, items: pa.Table) -> dict[str, Any]:
    row, moment = interactions.column("item_index").to_numpy(), interactions.column("timestamp_ms").to_numpy()
    since = pc.max(interactions.column("timestamp_ms")).as_py() - TREND_DAYS * MS_PER_DAY if len(moment) else 0
    counts = np.bincount(row, minlength=items.num_rows)
    return {
        "event_counts": counts,
        "popular": _best_first(counts),
        "trending": _best_first(np.bincount(row[moment > since], minlength=items.num_rows)),
        "fresh": newest_first(items),
    }
