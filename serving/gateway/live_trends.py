"""What has most events right now, from the stream tier: laid over every release as its trending items."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.schema.trends import committed_batch, read_trends
from serving.gateway.release import Release

PERIOD = "day"


class LiveTrends:
    """The trends of the stream tier's last batch, as far as they have been read. Threads share one.

    Args:
      stream: the tier's folder; without one, or before its first batch, a release keeps the trends of its own log's last week.
    """

    def __init__(self, stream: Path | None) -> None:
        self._stream = stream
        self._known: tuple[int, tuple[str, ...]] = (0, ())  # the batch's number, and items, best first: swapped as one

    def refresh(self) -> None:
        """
        Raises:
          ArtifactError: the tier's files cannot be read; what was read before stays.
        """
        batch = 0 if self._stream is None else committed_batch(self._stream)
        if self._stream is not None and batch and batch != self._known[0]:
            self._known = batch, _best(read_trends(self._stream, batch))

    def behind(self, release: Release) -> bool:
        """Whether a release has other trends than those that were read last."""
        return release.trends_number != self._known[0]

    def over(self, release: Release) -> Release:
        """The release with the items that trend now before all others, which keep their order."""
        number, items = self._known
        base = release.base or release
        rows = release.rows(items)
        rows = rows[release.allowed[rows]]
        before = np.append(base.trending, np.arange(len(base.item_ids), len(release.item_ids), dtype=np.int32))
        rest = before[release.allowed[before] & ~np.isin(before, rows)]
        trending = np.concatenate([rows, rest]).astype(np.int32)
        return dataclasses.replace(release, base=base, trends_number=number, trending=trending)


def _best(trends: pa.Table) -> tuple[str, ...]:
    of_history = trends.filter(pc.and_(pc.equal(trends.column("period"), PERIOD), pc.is_null(trends.column("type"))))
    return tuple(of_history.sort_by("rank").column("item_id").to_pylist())
