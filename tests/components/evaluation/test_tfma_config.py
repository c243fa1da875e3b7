"""Tasks have names in TFMA's settings where a model has several outputs; of one output TFMA keeps the values alone."""

import json
from typing import Any

import components.evaluation.component  # noqa: F401  TFMA is whole only where TFX's Evaluator was imported before it
from components.config import parse_config
from components.evaluation.tfma_config import evaluator_config, features_read


def made(tasks: dict[str, Any], slices: tuple[str, ...] = ()) -> Any:
    columns = {"user_id": "u", "item_id": "i", "timestamp": "t"}
    dataset = {"events": {"path": "x.csv", "columns": columns}, "tasks": tasks}
    config = {"name": "shop", "dataset": dataset, "evaluation": {"slices": slices}}
    return evaluator_config(parse_config(json.dumps(config), origin="test"))


def test_the_only_task_has_no_name() -> None:
    config = made({"have": {}})
    (model,) = config.model_specs
    assert (model.label_key, model.example_weight_key, model.signature_name) == ("label_have", "weight_have", "evaluate")
    assert not model.label_keys
    assert [list(spec.output_names) for spec in config.metrics_specs] == [[], []]


def test_of_several_tasks_those_that_were_observed_are_measured_by_name() -> None:
    """Whether something was had at all is told from a few items drawn, which says little."""
    config = made({"have": {}, "like": {"when": "value >= 4"}})
    (model,) = config.model_specs
    assert dict(model.label_keys) == {"like": "label_like"}
    assert dict(model.example_weight_keys) == {"like": "weight_like"}
    assert [list(spec.output_names) for spec in config.metrics_specs] == [[], ["like"]]


def test_of_a_sample_only_labels_weights_and_slices_are_read() -> None:
    assert features_read(made({"have": {}}, ("hour",))) == {"label_have", "weight_have", "context_hour"}
    several = made({"like": {"when": "value >= 4"}, "love": {"when": "value >= 5"}})
    assert features_read(several) == {"label_like", "weight_like", "label_love", "weight_love"}
