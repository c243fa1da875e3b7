"""Which models to serve, where they lie, and which of their versions: TensorFlow Serving's model config file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.errors import ServingError


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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"the model config file {path} cannot be read: {error}") from error
    message = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise ServingError(
            f"the model config file {path} is not a ModelServerConfig in text form: {error}; "
            'wanted: model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" } }'
        ) from error
    if message.WhichOneof("config") != "model_config_list" or not message.model_config_list.config:
        raise ServingError(f"the model config file {path} lists no model; wanted model_config_list {{ config {{ … }} }}")
    models = tuple(_model_from_proto(config, path) for config in message.model_config_list.config)
    names = [model.name for model in models]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ServingError(f"the model config file {path} lists {', '.join(duplicates)} more than once; names are unique")
    return models


def config_text(models: Sequence[ModelConfig]) -> str:
    """The text form of a config file for ``models``: the inverse of :func:`read_config_file`."""
    message = model_server_config_pb2.ModelServerConfig()
    for model in models:
        config = message.model_config_list.config.add(
            name=model.name, base_path=str(model.base_path), model_platform="tensorflow", version_labels=model.labels
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


def _model_from_proto(config: model_server_config_pb2.ModelConfig, path: Path) -> ModelConfig:
    found = f"model {config.name!r} in the model config file {path}"
    if not config.name:
        raise ServingError(f"{found} has no name")
    if config.model_platform != "tensorflow":
        raise ServingError(f'{found} has model_platform {config.model_platform!r}; wanted "tensorflow"')
    base_path = Path(config.base_path)
    if not base_path.is_absolute():
        raise ServingError(f"{found} has base_path {config.base_path!r}; wanted an absolute path")
    return ModelConfig(config.name, base_path, _policy_from_proto(config, found), dict(config.version_labels))


def _policy_from_proto(config: model_server_config_pb2.ModelConfig, found: str) -> VersionPolicy:
    policy = config.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "all":
            return AllVersions()
        case "specific":
            if not policy.specific.versions:
                raise ServingError(f"{found} asks for specific versions and names none")
            return Specific(tuple(policy.specific.versions))
        case _:
            # The proto's zero stands for "not given", and the documented default is one.
            return Latest(policy.latest.num_versions or 1)
