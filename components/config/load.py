"""Read a config file; say exactly which key is wrong."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from components.config.pipeline import PipelineConfig
from components.errors import ConfigError


def load_config(path: Path) -> PipelineConfig:
    """The settings in the YAML file at ``path``, its relative data paths resolved against its folder.

    Raises:
      ConfigError: the file is missing, is no YAML, or a key in it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); wanted a YAML config, as `winnow init` writes"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    config = parse_config(text, origin=str(path))
    return config.model_copy(update={"dataset": config.dataset.resolved(path.resolve().parent)})


def parse_config(text: str, origin: str) -> PipelineConfig:
    """The settings in ``text``; ``origin`` names it in errors."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{origin}: found {_kind(raw)}, wanted a mapping with the keys name and dataset")
    try:
        return PipelineConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{origin}:\n" + "\n".join(_lines(error))) from error


def _lines(error: ValidationError) -> list[str]:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
        kind, found = problem["type"], problem["input"]
        message = problem["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            lines.append(f"  {key}: unknown key; remove it or correct its spelling")
        elif kind == "missing":
            lines.append(f"  {key}: is missing")
        elif kind == "value_error":
            lines.append(f"  {key}: {message}")
        else:
            lines.append(f"  {key}: found {_shown(found)}, {message[0].lower()}{message[1:]}")
    return lines


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(value: Any) -> str:
    return "an empty file" if value is None else f"a {type(value).__name__}"
