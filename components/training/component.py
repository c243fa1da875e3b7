"""TFX's Trainer and Tuner with more inputs: the catalogue, the counters, and for ranking what recall returns."""

import json
from pathlib import Path
from typing import Any

from tfx.components.trainer.executor import GenericExecutor
from tfx.components.tuner import executor as tuner_executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.component_spec import ChannelParameter

from components.config.tuning import TRIALS_FILE
from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, EventLog, FeatureSnapshot, ItemIndex

ADDED = {
    "event_log": ChannelParameter(type=EventLog),
    "catalogue": ChannelParameter(type=Catalogue),
    "features": ChannelParameter(type=FeatureSnapshot),
    "retrieval": ChannelParameter(type=tfx.standard_artifacts.Model, optional=True),
    "index": ChannelParameter(type=ItemIndex, optional=True),
}


class ModelTrainerSpec(standard_component_specs.TrainerSpec):
    INPUTS = {**standard_component_specs.TrainerSpec.INPUTS, **ADDED}


class ModelTunerSpec(standard_component_specs.TunerSpec):
    INPUTS = {**standard_component_specs.TunerSpec.INPUTS, **ADDED}


class ModelTrainerExecutor(GenericExecutor):
    """Hands the places of the further inputs to ``run_fn`` in its ``custom_config``, under ``inputs``."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict) -> None:  # noqa: N802  TFX's name
        super().Do(input_dict, output_dict, _with_places(input_dict, exec_properties))


class ModelTunerExecutor(tuner_executor.Executor):
    """The same for ``tuner_fn``; beside TFX's own file of results it writes one with the trials that failed, and why."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict) -> None:  # noqa: N802  TFX's name
        tuner: Any = tuner_executor.search(
            input_dict, _with_places(input_dict, exec_properties), self._get_tmp_dir(), print_tuning_summary=False
        )
        tuner_executor.write_best_hyperparameters(tuner, output_dict)
        results = artifact_utils.get_single_uri(output_dict[standard_component_specs.TUNER_RESULTS_KEY])
        (Path(results) / TRIALS_FILE).write_text(json.dumps(tuner.record(), indent=1))


def _with_places(input_dict: dict, exec_properties: dict) -> dict:
    custom = json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
    custom["inputs"] = {name: artifact_utils.get_single_uri(input_dict[name]) for name in sorted(ADDED) if input_dict.get(name)}
    return {**exec_properties, standard_component_specs.CUSTOM_CONFIG_KEY: json.dumps(custom)}


class ModelTrainer(base_component.BaseComponent):
    """Trains one model with ``run_fn``.

    Args:
      run_fn: dotted path of the function that trains and saves.
      config: the pipeline's settings as JSON.
      checkpoints: the folder, or the URI, where a training keeps what it needs to go on once its process was killed.
      channels: the inputs of ``ModelTrainerSpec``.
    """

    SPEC_CLASS = ModelTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ModelTrainerExecutor)

    def __init__(self, run_fn: str, config: str, checkpoints: str, **channels: object) -> None:
        spec = ModelTrainerSpec(
            **_work(config, checkpoints),
            run_fn=run_fn,
            model=tfx.Channel(type=tfx.standard_artifacts.Model),
            model_run=tfx.Channel(type=tfx.standard_artifacts.ModelRun),
            **channels,
        )
        super().__init__(spec=spec)


class ModelTuner(base_component.BaseComponent):
    """Searches for settings of one model with ``tuner_fn``, a dotted path; the rest is as for ``ModelTrainer``."""

    SPEC_CLASS = ModelTunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ModelTunerExecutor)

    def __init__(self, tuner_fn: str, config: str, checkpoints: str, **channels: object) -> None:
        spec = ModelTunerSpec(
            **_work(config, checkpoints),
            tuner_fn=tuner_fn,
            best_hyperparameters=tfx.Channel(type=tfx.standard_artifacts.HyperParameters),
            tuner_results=tfx.Channel(type=tfx.standard_artifacts.TunerResults),
            **channels,
        )
        super().__init__(spec=spec)


def _work(config: str, checkpoints: str) -> dict[str, object]:
    return {
        "train_args": trainer_pb2.TrainArgs(splits=["train"]),
        "eval_args": trainer_pb2.EvalArgs(splits=["eval"]),
        "custom_config": json.dumps({"config": config, "checkpoints": checkpoints}),
    }
