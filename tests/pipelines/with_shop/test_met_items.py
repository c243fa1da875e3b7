"""Which items a ranker knows by their ids: those that were shown in training, whatever came of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.schema import samples as names
from components.training.exported import read_examples
from tests.pipelines.conftest import shop_config
from tests.pipelines.trainings import ranking_context

pytestmark = pytest.mark.e2e


def test_an_item_is_known_by_its_impressions(shop: Any, tmp_path: Path) -> None:
    """Else all samples of the embedding that unknown items share would be negatives."""
    context = ranking_context(shop, shop_config(), tmp_path)
    spec = {names.ITEM_ID: tf.io.FixedLenFeature([], tf.string)}
    samples = tf.io.parse_example(tf.constant(read_examples(Path(context.train_files[0]).parent)), spec)
    shown = np.isin(context.item_facts.ids, [each.decode() for each in samples[names.ITEM_ID].numpy()])
    clicked, met = context.item_facts.trained, context.met_item_facts.trained
    assert (shown & ~clicked).any()
    np.testing.assert_array_equal(met, shown)
