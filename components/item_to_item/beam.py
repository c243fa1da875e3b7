"""The neighbours as a Beam pipeline: groups of users → partial Gram matrices, summed by block of rows → neighbours."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from components.config.item_to_item import CosineSettings, EaseSettings
from components.item_to_item.cooccurrence import gram_parts, item_counts, user_items
from components.item_to_item.similarity import cosine_block, ease_blocks

ROWS_PER_BLOCK = 4_096
COUNTS = "counts"
Keyed = tuple[int, sp.csr_matrix]


def find_neighbours(
    pipeline: beam.Pipeline,
    settings: CosineSettings | EaseSettings,
    interactions: list[Path],
    item_count: int,
    folder: Path,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> None:
    """Add the steps that save the neighbours in blocks (``components.item_to_item.neighbours``) under ``folder``.

    How users are dealt to the files changes nothing: only whole numbers are added up.

    Args:
      interactions: Parquet files, with all of a user's rows in the same one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counted = (
        pipeline
        | "Users" >> beam.Create([str(path) for path in interactions])
        | "Spread" >> beam.Reshuffle()
        | "Gram" >> beam.ParDo(_Gram(settings.max_user_items, item_count, rows_per_block)).with_outputs(COUNTS, main="gram")
    )
    gram = counted.gram | "SumGram" >> beam.CombinePerKey(_Sum())
    if isinstance(settings, EaseSettings):
        (
            gram
            | "AsOne" >> beam.WithKeys(0)
            | "Together" >> beam.GroupByKey()
            | "Solve" >> beam.ParDo(_Ease(settings, item_count, rows_per_block, str(folder)))
        )
        return
    users = counted[COUNTS] | "SumCounts" >> beam.CombineGlobally(_Sum()).without_defaults()
    gram | "Cosine" >> beam.ParDo(_Cosine(settings, rows_per_block, str(folder)), beam.pvalue.AsSingleton(users))


class _Gram(beam.DoFn):
    def __init__(self, max_user_items: int, item_count: int, rows_per_block: int) -> None:
        self._max_user_items, self._item_count, self._rows_per_block = max_user_items, item_count, rows_per_block

    def process(self, path: str) -> Iterator:
        users = user_items(pq.read_table(path, partitioning=None), self._item_count, self._max_user_items)
        yield beam.pvalue.TaggedOutput(COUNTS, item_counts(users))
        for part in gram_parts(users):
            for number, first in enumerate(range(0, self._item_count, self._rows_per_block)):
                block = part[first : first + self._rows_per_block]
                if block.nnz:
                    yield number, block


class _Sum(beam.CombineFn):
    """Of arrays or sparse matrices."""

    def create_accumulator(self) -> None:
        return None

    def add_input(self, sum_: NDArray | sp.csr_matrix | None, one: NDArray | sp.csr_matrix) -> NDArray | sp.csr_matrix:
        return one if sum_ is None else sum_ + one

    def merge_accumulators(self, sums: Iterable[NDArray | sp.csr_matrix | None]) -> NDArray | sp.csr_matrix | None:
        merged = None
        for each in sums:
            merged = merged if each is None else self.add_input(merged, each)
        return merged

    def extract_output(self, sum_: NDArray | sp.csr_matrix) -> NDArray | sp.csr_matrix:
        return sum_


class _Cosine(beam.DoFn):
    def __init__(self, settings: CosineSettings, rows_per_block: int, folder: str) -> None:
        self._settings, self._rows_per_block, self._folder = settings, rows_per_block, folder

    def process(self, keyed: Keyed, users: NDArray[np.int64]) -> None:
        number, both = keyed
        cosine_block(both, number * self._rows_per_block, users, self._settings).save(Path(self._folder))


class _Ease(beam.DoFn):
    """On one worker, which holds all."""

    def __init__(self, settings: EaseSettings, item_count: int, rows_per_block: int, folder: str) -> None:
        self._settings, self._item_count, self._rows_per_block = settings, item_count, rows_per_block
        self._folder = folder

    def process(self, keyed: tuple[int, Iterable[Keyed]]) -> None:
        _, blocks = keyed
        found = dict(blocks)
        gram = sp.vstack(
            [
                found.get(
                    number, sp.csr_matrix((min(self._rows_per_block, self._item_count - first), self._item_count), dtype=int)
                )
                for number, first in enumerate(range(0, self._item_count, self._rows_per_block))
            ],
            format="csr",
        )
        for block in ease_blocks(gram, self._settings):
            block.save(Path(self._folder))
