"""The samples: one tf.Example per labelled moment, raw features, in gzip TFRecords.

Names by prefix: ``history_*`` lists of the same length, most recent first; ``user_count_*`` how many events of a type the
user had; ``user_*`` and ``context_*`` what else is known of the request; ``label_<task>`` and ``weight_<task>``, the weight 0
where the task was not observed; ``negative_*`` lists of drawn negatives. Where negatives are drawn, the label of a task that
only asks whether the event happened is a list: 1 for the item, then 0 for each negative. ``propensity`` is the probability
with which the item was shown, 1 where the log does not say it. ``window`` says what a model of sequences learns from a sample,
so that it learns each of a user's positives in training once: a list, 1 first where it learns the item, then 1 for each place
of the history whose item it learns as what came next there; of most samples 0 alone. User and item features keep their
configured names.
"""

import re
import zlib
from collections.abc import Iterable
from functools import cache

from components.config import PipelineConfig
from components.config.dataset import FeatureColumn, FeatureKind
from components.schema.events import CONTEXT_PREFIX

USER_ID, ITEM_ID, TIMESTAMP = "user_id", "item_id", "timestamp_ms"
HISTORY_ITEM, HISTORY_AGE, HISTORY_VALUE = "history_item_id", "history_age_s", "history_value"
USER_IDLE = "user_idle_s"
COUNT_PREFIX = "user_count_"
LABEL_PREFIX, WEIGHT_PREFIX = "label_", "weight_"
NEGATIVE_ITEM, NEGATIVE_PROB = "negative_item_id", "negative_prob"
POSITION, PROPENSITY, WINDOW = "position", "propensity", "window"
RECALL_EMBEDDING = "recall_embedding"  # not in samples: recall's vector of the request, which ranking is told
SPLITS = ("train", "eval", "test")

HOURS, WEEKDAYS = 24, 7


def history_types(config: PipelineConfig, seen_types: Iterable[str]) -> tuple[str, ...]:
    """The event types that enter the history, sorted: their place is their code."""
    if config.samples.history_types is not None:
        return tuple(sorted(config.samples.history_types))
    return tuple(sorted(set(seen_types) - {config.samples.impressions}))


@cache
def count_names(types: tuple[str, ...]) -> tuple[str, ...]:
    """The features that count a user's events of each of ``types``, which are as the data spell them.

    TensorFlow names inputs of models by Latin letters, digits and underscores alone: others become one underscore. A type of
    which nothing is left, or the same as of one before it, is told by a number of its own.
    """
    made: list[str] = []
    for kind in types:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", kind).strip("_") if re.search(r"[^A-Za-z0-9_]", kind) else kind
        name = COUNT_PREFIX + plain
        taken = not plain.strip("_") or name in made or (plain != kind and plain in types)
        made.append(f"{COUNT_PREFIX}{zlib.crc32(kind.encode()):08x}" if taken else name)
    return tuple(made)


def feature_spec(config: PipelineConfig, types: tuple[str, ...]) -> dict[str, tuple[str, bool]]:
    """Every feature of a sample: name → (``string``, ``float`` or ``int64``; whether it is exactly one value)."""
    spec: dict[str, tuple[str, bool]] = {USER_ID: ("string", True), TIMESTAMP: ("int64", True)}
    spec |= {name: _kind(feature) for name, feature in config.dataset.user_features.items()}
    spec |= {CONTEXT_PREFIX + name: ("int64", True) for name in config.dataset.context}
    spec |= {CONTEXT_PREFIX + name: ("string", True) for name in config.dataset.events.context}
    spec |= {HISTORY_ITEM: ("string", False), HISTORY_AGE: ("float", False), HISTORY_VALUE: ("float", False)}
    spec |= dict.fromkeys(count_names(types), ("float", True))
    spec |= {USER_IDLE: ("float", True), ITEM_ID: ("string", True)}
    spec |= {name: _kind(feature) for name, feature in config.dataset.item_features.items()}
    for name in config.dataset.tasks:
        spec[LABEL_PREFIX + name] = ("float", not has_drawn_negatives(config, name))
        spec[WEIGHT_PREFIX + name] = ("float", True)
    spec[WINDOW] = ("int64", False)
    if config.samples.impressions is None:
        spec |= {NEGATIVE_ITEM: ("string", False), NEGATIVE_PROB: ("float", False)}
    else:
        spec |= {POSITION: ("int64", True), PROPENSITY: ("float", True)}
    return spec


def feature_name(config: PipelineConfig, name: str) -> str:
    """What samples call a feature or a context column of the config."""
    return CONTEXT_PREFIX + name if name in {*config.dataset.context, *config.dataset.events.context} else name


def has_drawn_negatives(config: PipelineConfig, task: str) -> bool:
    """Whether a drawn negative counts as a 0 for the task: it asks for an event that a drawn item did not have."""
    settings = config.dataset.tasks[task]
    return config.samples.impressions is None and settings.threshold is None and settings.kind == "binary"


def query_features(config: PipelineConfig, types: tuple[str, ...]) -> list[str]:
    """The features that a request brings: all but the item, its features, labels and sampling columns."""
    spec = feature_spec(config, types)
    names = list(spec)
    return names[: names.index(ITEM_ID)]


def _kind(feature: FeatureColumn) -> tuple[str, bool]:
    return {
        FeatureKind.ID: ("string", True),
        FeatureKind.CATEGORICAL: ("string", True),
        FeatureKind.MULTI_VALUED: ("string", False),
        FeatureKind.NUMBER: ("float", False),  # absent where unknown
        FeatureKind.TEXT: ("string", False),
        FeatureKind.TIMESTAMP: ("float", False),  # days
    }[feature.kind]
