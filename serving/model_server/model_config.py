"""Which models to serve, where they lie, and which of their versions: TensorFlow Serving's model config file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.errors import ServingError
from serving.model_server.status import StatusError, invalid_argument
from serving.model_server.text_proto import read_text_proto

_PLATFORM = "tensorflow"
_EXAMPLE = 'model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" } }'


@dataclass(frozen=True)
class Latest:
    """Serve the ``count`` highest versions."""

    count: int = 1

    def choose(self, versions: Sequence[int]) -> list[int]:
        return sorted(versions, reverse=True)[: self.count]


@dataclass(frozen=True)
class AllVersions:
    """Serve every version."""

    def choose(self, versions: Sequence[int]) -> list[int]:
        return sorted(versions, reverse=True)


@dataclass(frozen=True)
class Specific:
    """Serve these versions and no others."""

    versions: tuple[int, ...]

    def choose(self, versions: Sequence[int]) -> list[int]:
        return sorted(set(versions) & set(self.versions), reverse=True)


VersionPolicy = Latest | AllVersions | Specific


@dataclass(frozen=True)
class ModelConfig:
    """One model: the folder that holds its numbered version folders, and which of them to serve."""

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)


def read_config_file(path: Path) -> tuple[ModelConfig, ...]:
    """The models of a ModelServerConfig in text form. Raises ServingError with the file and what is wrong in it."""
    message = read_text_proto(path, model_server_config_pb2.ModelServerConfig(), "a ModelServerConfig", _EXAMPLE)
    try:
        return models_from_proto(message)
    except StatusError as error:
        raise ServingError(f"the model config file {path}: {error.message}") from error


def models_from_proto(message: model_server_config_pb2.ModelServerConfig) -> tuple[ModelConfig, ...]:
    """The models of a ModelServerConfig. Raises StatusError INVALID_ARGUMENT where TensorFlow Serving would not take it."""
    if message.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("a custom_model_config is not supported; wanted a model_config_list")
    names: set[str] = set()
    for config in message.model_config_list.config:
        if config.name in names:
            raise invalid_argument(f"Illegal to list model {config.name} multiple times in config list")
        names.add(config.name)
    return tuple([_model_from_proto(config) for config in message.model_config_list.config])


def config_text(models: Sequence[ModelConfig]) -> str:
    """The text form of a config file for ``models``: the inverse of :func:`read_config_file`."""
    message = model_server_config_pb2.ModelServerConfig()
    for model in models:
        config = message.model_config_list.config.add(
            name=model.name, base_path=str(model.base_path), model_platform=_PLATFORM, version_labels=model.labels
        )
        match model.policy:
            case Latest(count):
                config.model_version_policy.latest.num_versions = count
            case AllVersions():
                config.model_version_policy.all.SetInParent()
            case Specific(versions):
                config.model_version_policy.specific.versions.extend(versions)
    return text_format.MessageToString(message)


def check_base_paths(models: Sequence[ModelConfig]) -> None:
    """Raise ServingError for a model whose base path is not a folder."""
    for model in models:
        if not model.base_path.is_dir():
            raise ServingError(
                f"the base path {model.base_path} of model {model.name} is not a folder; "
                "wanted the folder that holds its numbered version folders"
            )


def _model_from_proto(config: model_server_config_pb2.ModelConfig) -> ModelConfig:
    if not config.name:
        raise invalid_argument("a model in the config list has no name")
    base_path = Path(config.base_path)
    if not base_path.is_absolute():
        raise invalid_argument(
            f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
        )
    platform = _platform(config)
    if platform != _PLATFORM:
        raise invalid_argument(f"Model {config.name} requests unsupported platform {platform}")
    return ModelConfig(config.name, base_path, _policy_from_proto(config), dict(config.version_labels))


def _platform(config: model_server_config_pb2.ModelConfig) -> str:
    """The platform, be it named in the field of today or in the one before."""
    if config.model_type == model_server_config_pb2.MODEL_TYPE_UNSPECIFIED:
        if not config.model_platform:
            raise invalid_argument(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform."
            )
        return config.model_platform
    if config.model_platform:
        raise invalid_argument(
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
        )
    if config.model_type != model_server_config_pb2.TENSORFLOW:
        raise invalid_argument(f"ModelServerConfig::model_type choice {config.model_type} not supported.")
    return _PLATFORM


def _policy_from_proto(config: model_server_config_pb2.ModelConfig) -> VersionPolicy:
    policy = config.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return AllVersions()
        case "specific":
            if not policy.specific.versions:
                raise invalid_argument(f"model {config.name} asks for specific versions and names none")
            return Specific(tuple(policy.specific.versions))
        case _:
            # The proto's zero stands for "not given", and the documented default is one.
            return Latest(policy.latest.num_versions or 1)
