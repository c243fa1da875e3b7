"""The funnel's lists for many requests, computed by Beam workers that each load the models once."""

from pathlib import Path

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from components.funnel.offline import FunnelLists
from components.funnel.parts import FunnelParts

REQUESTS_PER_SHARD = 2_048


def funnel_lists(
    pipeline: beam.Pipeline, parts: FunnelParts, examples: list[bytes], seen: NDArray[np.int32], k: int, folder: Path
) -> None:
    """Add the steps that write ``folder/lists-*.npz``, one a shard of ``REQUESTS_PER_SHARD`` requests.

    The requests lie beside them in ``requests-*.npz``: inside the pipeline they would be pickled with its steps.

    Args:
      seen: int32 [n, s], padded with -1; rows that must not come back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(examples), REQUESTS_PER_SHARD)
    for number, start in enumerate(starts):
        of_shard = examples[start : start + REQUESTS_PER_SHARD]
        np.savez(
            folder / f"requests-{number:05d}.npz",
            content=np.frombuffer(b"".join(of_shard), np.uint8),
            end=np.cumsum([len(example) for example in of_shard]),
            seen=seen[start : start + REQUESTS_PER_SHARD],
        )
    (
        pipeline
        | "Shards" >> beam.Create(range(len(starts)))
        | "Spread" >> beam.Reshuffle()
        | "Recommend" >> beam.ParDo(_Recommend(parts, k, str(folder)))
    )


def read_lists(folder: Path) -> FunnelLists:
    """The shards' lists, in the order of the requests."""
    shards = [np.load(path, allow_pickle=False) for path in sorted(folder.glob("lists-*.npz"))]
    return FunnelLists(*(np.concatenate([shard[name] for shard in shards]) for name in FunnelLists.__annotations__))


class _Recommend(beam.DoFn):
    def __init__(self, parts: FunnelParts, k: int, folder: str) -> None:
        self._parts, self._k, self._folder = parts, k, folder

    def setup(self) -> None:
        self._funnel = self._parts.load()

    def process(self, shard: int) -> None:
        requests = np.load(Path(self._folder) / f"requests-{shard:05d}.npz", allow_pickle=False)
        content, end = requests["content"].tobytes(), requests["end"]
        examples = [content[start:stop] for start, stop in zip([0, *end[:-1]], end, strict=True)]
        lists = self._funnel.recommend(examples, requests["seen"], self._k)
        path = Path(self._folder) / f"lists-{shard:05d}.npz"
        np.savez(path, recalled=lists.recalled, ranked=lists.ranked, scores=lists.scores)
