"""What a training run works with, found from the arguments that TFX hands it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from numpy.typing import NDArray

from components.config import PipelineConfig, parse_config, tuned_config
from components.config.tuning import decoded
from components.errors import DataError
from components.features.item import ItemDays
from components.models.features import Slot
from components.models.items import ItemFacts, ItemRows
from components.schema import samples as names
from components.schema.catalogue import read_items
from components.schema.features import SnapshotFacts, read_interactions
from components.training.checkpoints import CheckpointFile, digest_of, training_key
from components.training.inputs import transformed
from components.training.items import item_facts, query_slots

ID_LISTS = {names.ITEM_ID: "item_row", names.HISTORY_ITEM: "history_row", names.NEGATIVE_ITEM: "negative_row"}


@dataclass(frozen=True)
class TrainingContext:
    """Settings, places and lookups of one training run."""

    config: PipelineConfig
    transform: tft.TFTransformOutput
    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    inputs: Mapping[str, Path]  # event_log, catalogue, features; for ranking also retrieval and index
    model_folder: Path
    run_folder: Path
    node: str
    checkpoints: str  # a folder or a URI
    inputs_digest: Callable[[], str]

    @classmethod
    def of(cls, fn_args: Any, node: str, section: str) -> "TrainingContext":
        """From TFX's FnArgs, as ``ModelTrainer`` hands them on.

        Args:
          section: of the settings, of which a tuner may have found better values.

        Raises:
          DataError: a split holds no samples.
        """
        custom = fn_args.custom_config
        config = parse_config(custom["config"], origin=node)
        if fn_args.hyperparameters:
            config = tuned_config(config, section, decoded(fn_args.hyperparameters["values"]))
        train_files, eval_files = _files(fn_args.train_files, "training"), _files(fn_args.eval_files, "validation")
        inputs = {name: Path(uri) for name, uri in custom["inputs"].items()}
        learnt_from: dict[str, Path | list[Path]] = {
            **inputs,
            "transform_graph": Path(fn_args.transform_output),
            "train": [Path(file) for file in train_files],
            "eval": [Path(file) for file in eval_files],
        }
        return cls(
            config=config,
            transform=tft.TFTransformOutput(fn_args.transform_output),
            train_files=train_files,
            eval_files=eval_files,
            inputs=inputs,
            model_folder=Path(fn_args.serving_model_dir),
            run_folder=Path(fn_args.model_run_dir),
            node=node,
            checkpoints=custom["checkpoints"],
            inputs_digest=cache(partial(digest_of, learnt_from)),
        )

    @cached_property
    def checkpoint(self) -> CheckpointFile:
        return CheckpointFile(self.checkpoints, lambda: self.key(self.config.model_dump_json()))

    def key(self, *settings: str) -> str:
        """Of this node's work with settings."""
        return training_key([self.node, *settings], self.inputs_digest())

    @cached_property
    def facts(self) -> SnapshotFacts:
        return SnapshotFacts.load(self.inputs["features"])

    @cached_property
    def item_facts(self) -> ItemFacts:
        return item_facts(self.config, self.inputs["catalogue"], self.transform, self._item_counts > 0)

    @cached_property
    def met_item_facts(self) -> ItemFacts:
        """The same, but that an item is trained where a training sample is of it, whatever came of it.

        Were those without a positive left out, what they share would be that nothing came of them, and a ranker that learns
        from their samples too would think so of items that are new.
        """
        if names.has_drawn_negatives(self.config, self.config.positive_task):
            return self.item_facts  # all that happened was a positive
        met, row_of = self.item_facts.trained.copy(), self.item_rows
        spec = {names.ITEM_ID: tf.io.FixedLenFeature([], tf.string)}
        examples = tf.data.TFRecordDataset(self.train_files, "GZIP", num_parallel_reads=tf.data.AUTOTUNE).batch(8_192)
        for rows in examples.map(lambda some: row_of(tf.io.parse_example(some, spec)[names.ITEM_ID])):
            met[rows[rows < len(met)]] = True
        return replace(self.item_facts, trained=met)

    @cached_property
    def item_frequency(self) -> tf.Tensor:
        """float32 [n + 1]; each item's share of the training positives, one added to each: Q of the log-Q correction."""
        counts = np.append(self._item_counts, 0) + 1.0
        return tf.constant(counts / counts.sum(), tf.float32)

    @cached_property
    def _item_counts(self) -> NDArray[np.int64]:
        positives = read_interactions(self.inputs["features"]).column("item_index").to_numpy()
        return np.bincount(positives, minlength=read_items(self.inputs["catalogue"]).num_rows)

    @cached_property
    def item_rows(self) -> ItemRows:
        return ItemRows(self.item_facts.ids)

    @cached_property
    def query_slots(self) -> tuple[Slot, ...]:
        return query_slots(self.config, self.facts.types, self.transform)

    def item_days(self) -> ItemDays:
        """Where events are split at random, those of training alone, without days: on any day lie some that are tested."""
        days = ItemDays.load(self.inputs["event_log"], self.inputs["catalogue"], self.facts.types)
        return days.of_no_day(self._item_counts) if self.config.samples.split.kind == "random" else days

    def query_keys(self) -> list[str]:
        """What the models read of a request, after ``rows``."""
        return [slot.name for slot in self.query_slots] + ["history_row", names.HISTORY_AGE, names.HISTORY_VALUE]

    def blocks(self, files: Iterable[str], keep: Iterable[str], shuffled: bool) -> tf.data.Dataset:
        """Transformed samples with item ids turned into rows: ``item_row``, ``history_row``, ``negative_row``."""
        keep = set(keep)
        raw = {name for name, row in ID_LISTS.items() if row in keep} | keep - set(ID_LISTS.values())
        return transformed(tuple(files), self.transform, raw, partial(with_rows, self.item_rows), shuffled)


def with_rows(item_rows: ItemRows, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The features with item ids turned into rows, under the names of ``ID_LISTS``."""
    return {ID_LISTS.get(name, name): item_rows(value) if name in ID_LISTS else value for name, value in features.items()}


def _files(patterns: Iterable[str], split: str) -> tuple[str, ...]:
    files = tuple(sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern)))
    if not files:
        raise DataError(f"the {split} split holds no samples ({', '.join(patterns)}); see samples.split in the config")
    return files
