"""What saved models answer when they are asked as TensorFlow Serving is: by their signatures."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.config import parse_config
from components.retrieval.trainer import train_and_save
from components.schema.catalogue import read_items
from components.schema.features import REQUESTS_FOLDER, SnapshotFacts
from components.schema.request import request_inputs
from components.training.context import TrainingContext
from components.training.exported import read_examples
from components.training.signature import EXCLUDED
from tests.pipelines.conftest import Workdir, ratings_config
from tests.pipelines.trainings import ranking_context

pytestmark = pytest.mark.e2e


def listed(folder: Path, context: TrainingContext, excluded: list[str]) -> list[str]:
    """What ``recommend`` gives to a user of the run."""
    [sample] = read_examples(context.inputs["features"] / REQUESTS_FOLDER, 1)
    types = SnapshotFacts.load(context.inputs["features"]).types
    signature = tf.saved_model.load(str(folder)).signatures["recommend"]
    specs: Mapping[str, tf.TensorSpec] = signature.structured_input_signature[1]
    inputs: dict[str, Any] = {**request_inputs(sample, context.config, types), EXCLUDED: [excluded]}
    answered = signature(**{name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()})
    assert np.all(np.diff(answered["score"][0]) <= 0)
    return [item.decode() for item in answered["item_id"][0].numpy()]


@pytest.fixture(scope="module")
def context(ratings: Workdir, tmp_path_factory: pytest.TempPathFactory) -> TrainingContext:
    return ranking_context(ratings, ratings_config(), tmp_path_factory.mktemp("checkpoints"))


@pytest.mark.parametrize("trainer", ["RankingTrainer", "RetrievalTrainer"])
def test_what_is_to_be_left_out_is_not_recommended(ratings: Workdir, context: TrainingContext, trainer: str) -> None:
    """Nor does it fill a list that has room for more than there is."""
    items = read_items(context.inputs["catalogue"]).column("item_id").to_pylist()
    folder = ratings.artifact(trainer, "model") / "Format-Serving"
    left = listed(folder, context, items[3:])
    assert sorted(left[:3]) == sorted(items[:3])
    assert set(left[3:]) == {""}
    assert len(left) == len(items)


def with_towers(context: TrainingContext, folder: Path, **settings: Any) -> TrainingContext:
    raw = ratings_config()
    raw["retrieval"] |= settings
    config = parse_config(json.dumps(raw), origin="test")
    return replace(context, config=config, node="RetrievalTrainer", model_folder=folder / "model", run_folder=folder / "run")


@pytest.mark.parametrize("query_tower", ["self_attention", "gru"])
def test_a_tower_of_sequences_is_saved_whole(context: TrainingContext, tmp_path: Path, query_tower: str) -> None:
    """It recommends all of the catalogue but what is to be left out, each once."""
    towers = with_towers(context, tmp_path, query_tower=query_tower, batch_size=16)
    train_and_save(towers, tf.distribute.get_strategy())
    items = read_items(context.inputs["catalogue"]).column("item_id").to_pylist()
    assert sorted(listed(towers.model_folder, towers, items[:2])) == sorted(["", "", *items[2:]])
