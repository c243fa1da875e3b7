"""Settings: one YAML file says where a data set lies, what it means, and how its models are trained."""

from components.config.dataset import (
    ContextColumn,
    DatasetConfig,
    EventsConfig,
    FeatureColumn,
    FeatureKind,
    FileFormat,
    ItemsConfig,
    SplitConfig,
    TableConfig,
    TaskConfig,
    UsersConfig,
)
from components.config.item_to_item import CosineSettings, EaseSettings
from components.config.load import load_config, load_settings, parse_config, parse_settings, tuned_config
from components.config.pipeline import (
    EvaluationConfig,
    IndexConfig,
    PipelineConfig,
    RankingConfig,
    RetrievalConfig,
    SamplesConfig,
    ValidationConfig,
)
from components.config.tuning import TuningConfig

__all__ = [
    "ContextColumn",
    "CosineSettings",
    "DatasetConfig",
    "EaseSettings",
    "EvaluationConfig",
    "EventsConfig",
    "FeatureColumn",
    "FeatureKind",
    "FileFormat",
    "IndexConfig",
    "ItemsConfig",
    "PipelineConfig",
    "RankingConfig",
    "RetrievalConfig",
    "SamplesConfig",
    "SplitConfig",
    "TableConfig",
    "TaskConfig",
    "TuningConfig",
    "UsersConfig",
    "ValidationConfig",
    "load_config",
    "load_settings",
    "parse_config",
    "parse_settings",
    "tuned_config",
]
