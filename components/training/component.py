"""TFX's Trainer with more inputs: the catalogue, the counters, and for ranking what recall returns."""

import json

from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.types.component_spec import ChannelParameter

from components.schema import tfx_api as tfx
from components.schema.artifact_types import Catalogue, EventLog, FeatureSnapshot, ItemIndex


class ModelTrainerSpec(standard_component_specs.TrainerSpec):
    INPUTS = {
        **standard_component_specs.TrainerSpec.INPUTS,
        "event_log": ChannelParameter(type=EventLog),
        "catalogue": ChannelParameter(type=Catalogue),
        "features": ChannelParameter(type=FeatureSnapshot),
        "retrieval": ChannelParameter(type=tfx.standard_artifacts.Model, optional=True),
        "index": ChannelParameter(type=ItemIndex, optional=True),
    }


class ModelTrainerExecutor(GenericExecutor):
    """Hands the places of the further inputs to ``run_fn`` in its ``custom_config``, under ``inputs``."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict) -> None:  # noqa: N802  TFX's name
        added = ModelTrainerSpec.INPUTS.keys() - standard_component_specs.TrainerSpec.INPUTS.keys()
        custom = json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        custom["inputs"] = {
            name: artifact_utils.get_single_uri(input_dict[name]) for name in sorted(added) if input_dict.get(name)
        }
        super().Do(input_dict, output_dict, {**exec_properties, standard_component_specs.CUSTOM_CONFIG_KEY: json.dumps(custom)})


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
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
            run_fn=run_fn,
            custom_config=json.dumps({"config": config, "checkpoints": checkpoints}),
            model=tfx.Channel(type=tfx.standard_artifacts.Model),
            model_run=tfx.Channel(type=tfx.standard_artifacts.ModelRun),
            **channels,
        )
        super().__init__(spec=spec)
