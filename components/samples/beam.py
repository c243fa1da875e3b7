"""Samples as a Beam pipeline: day partitions → events by group of users → sample files."""

import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.config import PipelineConfig
from components.samples.build import NO_WINDOW, Catalogue, UserGroup
from components.samples.plan import SamplePlan
from components.schema.arrow_bytes import from_bytes, to_bytes
from components.schema.catalogue import read_items, read_users
from components.schema.events import event_files
from components.schema.features import INTERACTIONS_FOLDER, REQUESTS_FOLDER, STATES_FOLDER
from components.schema.samples import SPLITS

# Level 1 of gzip: samples are read many times but from a warm cache, and a higher level halves the speed of writing.
TFRECORD = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
EVENT_COLUMNS = ("user_id", "item_id", "type", "value", "timestamp_ms", "request_id", "position", "propensity")


def make_samples(
    pipeline: beam.Pipeline,
    config: PipelineConfig,
    plan: SamplePlan,
    event_log: Path,
    catalogue: Path,
    examples: Path,
    features: Path,
) -> None:
    """Add the steps that write ``examples/Split-*/`` and, under ``features``, interactions and user states."""
    for split in SPLITS:
        (examples / f"Split-{split}").mkdir(parents=True, exist_ok=True)
    for folder in (INTERACTIONS_FOLDER, STATES_FOLDER, REQUESTS_FOLDER):
        (features / folder).mkdir(parents=True, exist_ok=True)
    (
        pipeline
        | "Days" >> beam.Create([str(path) for path in event_files(event_log)])
        | "Spread" >> beam.Reshuffle()
        | "SplitByUser" >> beam.ParDo(_SplitByUser(config, plan.bucket_count))
        | "GroupByUser" >> beam.GroupByKey()
        | "Write" >> beam.ParDo(_WriteGroup(config, plan, str(catalogue), str(examples), str(features)))
    )


def user_bucket(user_ids: pa.DictionaryArray, bucket_count: int) -> np.ndarray:
    """int [n]; the group of each user, the same in every process."""
    hashes = np.array([zlib.crc32(user.encode()) for user in user_ids.dictionary.to_pylist()], np.int64)
    return (hashes % bucket_count)[user_ids.indices.to_numpy()]


class _SplitByUser(beam.DoFn):
    def __init__(self, config: PipelineConfig, bucket_count: int) -> None:
        self._columns = [*EVENT_COLUMNS, *(f"context_{name}" for name in config.dataset.events.context)]
        self._bucket_count = bucket_count

    def process(self, path: str) -> Iterator[tuple[int, bytes]]:
        for batch in pq.ParquetFile(path).iter_batches(1 << 17, columns=self._columns):
            bucket = user_bucket(batch.column("user_id").dictionary_encode(), self._bucket_count)
            order = np.argsort(bucket, kind="stable")
            ordered = batch.take(pa.array(order))
            bounds = np.searchsorted(bucket[order], np.arange(self._bucket_count + 1))
            for number, (start, end) in enumerate(pairwise(bounds)):
                if end > start:
                    yield number, to_bytes(ordered.slice(start, end - start))


class _WriteGroup(beam.DoFn):
    """Writes the files of one group; a retry writes the same content under the same names."""

    def __init__(self, config: PipelineConfig, plan: SamplePlan, catalogue: str, examples: str, features: str) -> None:
        self._config, self._plan = config, plan
        self._catalogue_folder, self._examples, self._features = catalogue, examples, features

    @cached_property
    def _catalogue(self) -> Catalogue:
        folder = Path(self._catalogue_folder)
        return Catalogue(read_items(folder), read_users(folder))

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_catalogue"}

    def process(self, keyed: tuple[int, Iterable[bytes]]) -> None:
        number, pieces = keyed
        group = UserGroup(from_bytes(list(pieces)), self._catalogue, self._config, self._plan)
        moments = group.moments()
        for code, split in enumerate(SPLITS):
            wanted = moments.split == code
            if split == "train" and self._config.samples.train_on == "windows":
                wanted &= moments.window != NO_WINDOW
            chosen = moments.take(np.flatnonzero(wanted))
            if len(chosen.row):
                name = f"data_tfrecord-{number:05d}-of-{self._plan.bucket_count:05d}.gz"
                seed = (self._config.samples.seed, number, code)
                _write_examples(Path(self._examples) / f"Split-{split}" / name, group.batches(chosen, seed))
        _write_examples(Path(self._features) / REQUESTS_FOLDER / f"part-{number:05d}.gz", iter([group.requests()]))
        for folder, table in ((INTERACTIONS_FOLDER, group.interactions(moments)), (STATES_FOLDER, group.snapshot())):
            pq.write_table(table, Path(self._features) / folder / f"part-{number:05d}.parquet", compression="zstd")


def _write_examples(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    """One batch is compressed and written while the next is made: neither holds Python's lock."""
    encoder = RecordBatchToExamplesEncoder()
    with tf.io.TFRecordWriter(str(path), TFRECORD) as writer, ThreadPoolExecutor(1) as thread:
        writing: Future[None] | None = None
        for batch in batches:
            examples = encoder.encode(batch)
            if writing is not None:
                writing.result()
            writing = thread.submit(_write, writer, examples)
        if writing is not None:
            writing.result()


def _write(writer: tf.io.TFRecordWriter, examples: list[bytes]) -> None:
    for example in examples:
        writer.write(example)
