"""Which items a ranker knows by their ids: those that were shown in training, whatever came of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.models.items import ItemRows
from components.schema import samples as names
from components.schema.events import MS_PER_DAY
from components.training.exported import read_examples
from tests.pipelines.conftest import shop_config
from tests.pipelines.trainings import ranking_context

pytestmark = pytest.mark.e2e


def test_an_item_is_known_by_its_impressions(shop: Any, tmp_path: Path) -> None:
    """Else all samples of the embedding that unknown items share would be negatives."""
    context = ranking_context(shop, shop_config(), tmp_path)
    spec = {names.ITEM_ID: tf.io.FixedLenFeature([], tf.string), names.TIMESTAMP: tf.io.FixedLenFeature([], tf.int64)}
    samples = tf.io.parse_example(tf.constant(read_examples(Path(context.train_files[0]).parent)), spec)
    rows = ItemRows(context.item_facts.ids)(samples[names.ITEM_ID]).numpy()
    last_day = context.facts.eval_from_ms // MS_PER_DAY
    shown = np.zeros(len(context.item_facts.ids), bool)
    shown[rows[samples[names.TIMESTAMP].numpy() // MS_PER_DAY < last_day]] = True
    clicked, met = context.item_facts.trained, context.met_item_facts.trained
    assert (shown & ~clicked).any()
    np.testing.assert_array_equal(met, shown | clicked)
