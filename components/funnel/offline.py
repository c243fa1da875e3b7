"""Recall → masking → ranking for many requests at once, with the parts of one release."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.features.seen import PAD
from components.index.index import ExactIndex, Index
from components.training.exported import Ranker, Towers

REQUESTS_AT_ONCE = 512


@dataclass(frozen=True)
class FunnelLists:
    """What each stage would show.

    Attributes:
      recalled: int32 [n, k]; by recall alone, best first.
      ranked: int32 [n, k]; recall's candidates in the ranker's order.
      scores: float32 [n, k]; of ``ranked``.
    """

    recalled: NDArray[np.int32]
    ranked: NDArray[np.int32]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class OfflineFunnel:
    """The funnel as it is served: ScaNN for recall, the SavedModels for vectors and scores."""

    towers: Towers
    index: Index
    ranker: Ranker
    candidates: int

    def among(self, rows: NDArray[np.int32]) -> "OfflineFunnel":
        """The same over some rows of the catalogue alone, which are searched exactly."""
        return replace(self, index=_Part(ExactIndex(self.towers.item_vectors[rows]), rows))

    def recommend(self, examples: list[bytes], seen: NDArray[np.int32], k: int) -> FunnelLists:
        """Lists for each sample's request.

        Args:
          seen: int32 [n, s], padded with -1; rows that must not come back. Recall fetches as many more.
        """
        parts = [
            self._recommend(examples[start : start + REQUESTS_AT_ONCE], seen[start : start + REQUESTS_AT_ONCE], k)
            for start in range(0, len(examples), REQUESTS_AT_ONCE)
        ]
        return FunnelLists(*(np.concatenate([getattr(part, name) for part in parts]) for name in FunnelLists.__annotations__))

    def _recommend(self, examples: list[bytes], seen: NDArray[np.int32], k: int) -> FunnelLists:
        wanted = self.candidates + int((seen >= 0).sum(axis=1).max(initial=0))
        found, _ = self.index.search(self.towers.embed(examples), wanted)
        recalled = leave_out(found, seen, self.candidates)
        scores = np.where(recalled == PAD, -np.inf, self.ranker.scores(examples, recalled))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return FunnelLists(
            pad_to(recalled[:, :k], k), pad_to(np.take_along_axis(recalled, order, 1), k),
            pad_to(np.take_along_axis(scores, order, 1), k, -np.inf),
        )  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """Some of the catalogue's rows, which the index numbers from 0 on."""

    index: Index
    rows: NDArray[np.int32]

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        found, scores = self.index.search(queries, k)
        return np.where(found >= 0, self.rows[found], PAD), scores


def leave_out(rows: NDArray[np.int32], seen: NDArray[np.int32], k: int) -> NDArray[np.int32]:
    """int32 [n, k]; the first ``k`` of each line of ``rows`` that are not in its line of ``seen``, padded with -1."""
    line = np.arange(len(rows), dtype=np.int64)[:, None] << 32
    keep = ~np.isin(line | rows, line | np.maximum(seen, -1).astype(np.int64)) if seen.size else np.ones(rows.shape, bool)
    keep &= rows >= 0
    order = np.argsort(~keep, axis=1, kind="stable")
    kept = np.where(np.take_along_axis(keep, order, 1), np.take_along_axis(rows, order, 1), PAD)
    return pad_to(kept[:, :k], k)


def pad_to(values: NDArray, width: int, pad: float = PAD) -> NDArray:
    """``values`` [n, m] as [n, width], filled up with ``pad``."""
    missing = width - values.shape[1]
    return np.pad(values, ((0, 0), (0, missing)), constant_values=pad) if missing > 0 else values[:, :width]
